package model

import (
	"context"
	"fmt"

	"refreekv/model/hub"
	"refreekv/model/tensor"
)

// A Description is what can be said of a model without loading its weights.
type Description struct {
	Source     string
	Format     string // safetensors or gguf
	Config     Config
	Parameters int64            // numbers in all tensors that are used
	Types      map[string]int64 // parameters by the type they are stored in
	Tensors    int
	LeftOut    map[string]int64 // parameters of a multimodal model's other parts, by their name
	Tokens     int              // of the tokenizer
	BOS        string           // empty if there is none
	EOS        []string
	Chat       bool // there is a chat template
	Family     string
	packed     int64 // parameters that are held for the kernels
}

// Describe finds a model as [Find] does and describes it. A model with a tensor
// of a type that cannot be read is refused.
func Describe(ctx context.Context, name string, p hub.Progress) (*Description, error) {
	found, err := hub.Resolve(ctx, name, p)
	if err != nil {
		return nil, err
	}
	m, err := openFiles(found.Path)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	m.Name = found.Name
	d := &Description{
		Source: found.Source, Format: m.file.Format, Config: m.Config, Types: map[string]int64{}, LeftOut: map[string]int64{},
		Tokens: m.Tokenizer.Size(), Chat: m.Tokenizer.HasChat(), Family: m.Family(),
	}
	if bos, ok := m.Tokenizer.BOS(); ok {
		d.BOS = m.Tokenizer.Token(bos)
	}
	for _, id := range m.Tokenizer.EOS() {
		d.EOS = append(d.EOS, m.Tokenizer.Token(id))
	}
	for _, name := range m.file.Names() {
		t, _ := m.file.Tensor(name)
		n := int64(t.Rows()) * int64(t.Cols())
		if part := otherPart(name); m.Config.multimodal && part != "" {
			d.LeftOut[part] += n
			continue
		}
		if err := t.Supported(); err != nil {
			return nil, fmt.Errorf("%s: %w", found.Path, err)
		}
		d.Tensors++
		d.Parameters += n
		d.Types[t.Type] += n
	}
	// The embedding is read from the file; tied to the logits it is packed for
	// them.
	d.packed = d.Parameters
	if !m.Config.Tied {
		d.packed -= int64(m.Config.Vocab) * int64(m.Config.Hidden)
	}
	return d, nil
}

// Memory estimates what running the model on a prompt of n tokens holds, in
// bytes: weights in a format, the full KV cache, and the scratch of prefill.
func (d *Description) Memory(n int, dtype tensor.DType) int64 {
	c := d.Config
	chunk := int64(min(n, chunkTokens()))
	scratch := 4 * chunk * int64(c.Hidden+2*c.Heads*c.HeadDim)
	return int64(dtype.BytesPerWeight()*float64(d.packed)) + int64(n)*c.KVBytesPerToken() + scratch
}

// Parameters counts the numbers in all of the model's tensors that are used.
func (m *Model) Parameters() int64 {
	n := int64(0)
	for _, name := range m.file.Names() {
		if m.Config.multimodal && otherPart(name) != "" {
			continue
		}
		t, _ := m.file.Tensor(name)
		n += int64(t.Rows()) * int64(t.Cols())
	}
	return n
}
