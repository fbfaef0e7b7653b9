package datasets

// A Record is one example of a data set as its file holds it. Which of its
// fields fill a prompt and which are references is the task's business.
type Record struct {
	ID     string         // the file's own id (_id, id, …), else "<file>:<index>"
	Index  int            // 0-based position in the data set
	Source string         // file and line (or row), for error messages
	Fields map[string]any // decoded values: string, int64, float64 (json.Number where neither fits), bool, nil, []any, map[string]any

	// Labels say where a generated record stands in its set's grid, for reports:
	// target_length (tokens of the whole prompt) and depth (of its only needle, 0
	// the beginning, 1 the end). They are drawn from what made the record and add
	// nothing to it; nil where there are none.
	Labels map[string]float64 `json:"-"`
}
