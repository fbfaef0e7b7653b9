package rows

// A Prompt is what the model was given for a record, and the reference answers
// that its texts were compared with. Rows hold neither.
type Prompt struct {
	Text    string
	Parts   []string // Text, cut where the parts of a row's Density begin; nil: it cannot be cut there
	Answers []string
}

// A PromptKey names the prompt of rows.
type PromptKey struct {
	Task  string
	Index int
	Hash  string // the rows' PromptHash
}

// PromptKey names the row's prompt.
func (r Row) PromptKey() PromptKey { return PromptKey{r.Task, r.Index, r.PromptHash} }
