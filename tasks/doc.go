// Package tasks turns a record into a prompt and a generated text into a score:
// template, system text, chat wrapping, truncation, generation length, stop rule
// and metric. A task is one YAML file; what is true of all of them stands in
// protocols.yaml.
package tasks
