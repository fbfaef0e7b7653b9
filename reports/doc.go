// Package reports turns rows into tables (terminal, Markdown, LaTeX, CSV, JSON)
// and figures (PNG, SVG, PDF). The same rows give the same bytes: nothing here
// depends on time, machine or order of computation.
package reports
