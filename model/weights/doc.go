// Package weights reads model weights from safetensors files and folders and
// from GGUF files. Files are memory-mapped; a tensor's rows are turned into
// float32 only when they are read. Nothing in a file is trusted: every count,
// length and offset is checked against the file before it is used, and a file
// that is cut short while it is mapped gives an error.
package weights
