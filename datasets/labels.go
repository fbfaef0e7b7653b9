package datasets

// Labels of generated records.
const (
	DepthLabel  = "depth"         // of the only needle, 0 the beginning, 1 the end
	LengthLabel = "target_length" // tokens that the whole prompt was made to have
)

// label fills in the labels of a generated set's records.
func (i Info) label(records []Record, settings []string) error {
	if i.generate == nil {
		return nil
	}
	chosen, err := i.settings(settings)
	if err != nil {
		return err
	}
	for k := range records {
		records[k].Labels = i.labels(records[k].Fields, chosen)
	}
	return nil
}

// labels are those of a record with these fields; nil if there are none.
func (i Info) labels(fields map[string]any, chosen options) map[string]float64 {
	out := map[string]float64{}
	for _, o := range i.options {
		if o.prompt {
			out[LengthLabel] = chosen.number(o.name)
		}
	}
	if length, ok := fields[LengthLabel].(int64); ok {
		out[LengthLabel] = float64(length)
	}
	at := fields[DepthLabel]
	if depths, ok := fields["depths"].([]any); ok && len(depths) == 1 {
		at = depths[0]
	}
	if depth, ok := at.(float64); ok {
		out[DepthLabel] = depth
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
