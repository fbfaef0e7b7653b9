// Package runners turns an experiment's config into work and runs it: every
// (model, task, record, context length) is prefilled once, all variants select
// from that prefix and decode together, and their rows are stored before the
// next record starts, so that a run can be killed and taken up again.
package runners
