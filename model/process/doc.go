// Package process tells how much memory this process held at most.
package process
