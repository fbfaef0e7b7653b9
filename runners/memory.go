package runners

import "fmt"

// makeRoom holds a record of so many prompt tokens and bytes, the only one in
// hand, to the memory that the run may take: it gives up what the record before
// left to be taken over, and refuses the record if that is not enough.
func (r *run) makeRoom(tokens int, record int64) error {
	if r.o.Memory == 0 {
		return nil
	}
	weights := r.model.WeightBytes()
	if r.base != nil && weights+record+r.base.KVBytes() > r.o.Memory {
		r.base = nil
	}
	if weights+record <= r.o.Memory {
		return nil
	}
	const mb = 1e6
	return noRoomError(fmt.Sprintf("a prompt of %d tokens needs %.0f MB beside the model's %.0f MB, more than the %.0f MB allowed (--memory); allow more, use a smaller context length or fewer variants",
		tokens, float64(record)/mb, float64(weights)/mb, float64(r.o.Memory)/mb))
}

// A noRoomError is the one error of a record that its inputs do not determine.
type noRoomError string

func (e noRoomError) Error() string { return string(e) }
