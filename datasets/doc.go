// Package datasets finds, fetches and reads records: JSON Lines, JSON, CSV and
// Parquet, in one file or in shards, also inside gzip and zip, recognised by
// content. Sample records of our own are embedded (samples/), long-context
// records are generated from a seed; no benchmark's text is part of the program.
package datasets
