package model

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"refreekv/model/hub"
	"refreekv/model/tensor"
	"refreekv/model/tokenizer"
	"refreekv/model/weights"
)

// A Model is an opened transformer: weights packed for the kernels, tokenizer
// and chat template. One goroutine at a time may call its methods; they use all
// of [tensor.Threads] themselves.
type Model struct {
	Name      string // short name: the registry's, or the last part of the path
	Source    string // where the weights came from, for people
	Path      string // folder or .gguf file
	Config    Config
	Tokenizer *tokenizer.Tokenizer

	file   *weights.File
	embed  *weights.Tensor // [vocab][hidden]
	layers []layer
	norm   []float32      // [hidden] final RMSNorm
	head   *tensor.Packed // [vocab][hidden]
	rope   ropeTable
}

// layer holds one transformer layer's weights, products packed in panels.
type layer struct {
	attnNorm, ffnNorm []float32      // [hidden]
	qkv               *tensor.Packed // [(heads+2·kvHeads)·headDim][hidden]: query, key, value rows
	out               *tensor.Packed // [hidden][heads·headDim]
	gateUp            *tensor.Packed // [2·ffn][hidden]: a panel of gate rows, then the same panel of up rows, and so on
	down              *tensor.Packed // [hidden][ffn]
}

// Find resolves a model's name (registry name, hub id, folder or .gguf file),
// fetching it if need be, and opens it.
func Find(ctx context.Context, name string, p hub.Progress) (*Model, error) {
	found, err := hub.Resolve(ctx, name, p)
	if err != nil {
		return nil, err
	}
	m, err := Open(found.Path)
	if err != nil {
		return nil, err
	}
	m.Name, m.Source = found.Name, found.Source
	return m, nil
}

// Open opens a model folder (config.json, tokenizer.json, *.safetensors) or a
// .gguf file. Close it when done.
func Open(path string) (*Model, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("opening model: %w", err)
	}
	f, err := weights.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening model %s: %w", path, err)
	}
	m := &Model{
		Name: strings.TrimSuffix(filepath.Base(path), ".gguf"), Source: "local path " + path, Path: path,
		file: f,
	}
	if err := m.load(); err != nil {
		f.Close()
		return nil, fmt.Errorf("opening model %s: %w", path, err)
	}
	return m, nil
}

// Close releases the mapped files. The model must not be used afterwards.
func (m *Model) Close() error { return m.file.Close() }

// Hash identifies the weights: the SHA-256 over the files' bytes, in hex.
func (m *Model) Hash() (string, error) { return m.file.Hash() }

// Family names the model family in the paper's sense (llama2, llama3, mistral,
// qwen2.5, or other), judged by the chat template's markers: the paper's
// evaluation renders prompts per family.
func (m *Model) Family() string {
	template := m.Tokenizer.ChatTemplate()
	switch {
	case strings.Contains(template, "<|start_header_id|>"):
		return "llama3"
	case strings.Contains(template, "<<SYS>>"):
		return "llama2"
	case strings.Contains(template, "[INST]"):
		return "mistral"
	case strings.Contains(strings.ToLower(m.Name), "qwen2.5"):
		return "qwen2.5"
	}
	return "other"
}

func (m *Model) load() error {
	var err error
	dir := m.Path
	if filepath.Ext(dir) == ".safetensors" {
		dir = filepath.Dir(dir)
	}
	if m.file.Format == "gguf" {
		if m.Config, err = ggufConfig(m.file); err != nil {
			return err
		}
		m.Tokenizer, err = tokenizer.FromGGUF(m.file.Meta)
	} else {
		if m.Config, err = readConfig(filepath.Join(dir, "config.json")); err != nil {
			return err
		}
		m.Tokenizer, err = tokenizer.Load(dir)
	}
	if err != nil {
		return err
	}
	if m.Tokenizer.Size() > m.Config.Vocab {
		return fmt.Errorf("the tokenizer has %d tokens but the model only %d logits (vocab_size): they do not belong together", m.Tokenizer.Size(), m.Config.Vocab)
	}
	return m.loadWeights()
}

func (m *Model) loadWeights() error {
	c, names := m.Config, hfNames
	if m.file.Format == "gguf" {
		names = ggufNames
	}
	r := reader{file: m.file}
	m.embed = r.tensor(names.embed, c.Vocab, c.Hidden)
	m.norm = r.vector(names.norm, c.Hidden)
	if c.Tied {
		m.head = r.pack(c.Vocab, c.Hidden, part{name: names.embed})
	} else {
		m.head = r.pack(c.Vocab, c.Hidden, part{name: names.head})
	}
	// A config may claim millions of layers: the last one must be there before
	// any of them gets room.
	r.tensor(fmt.Sprintf(names.layer, c.Layers-1, names.attnNorm), 1, c.Hidden)
	if r.err != nil {
		return r.err
	}
	m.layers = make([]layer, c.Layers)
	errs := make([]error, c.Layers)
	tensor.Parallel(c.Layers, func(l, _ int) { m.layers[l], errs[l] = m.loadLayer(l, names) })
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *Model) loadLayer(l int, names tensorNames) (layer, error) {
	c := m.Config
	r := reader{file: m.file}
	name := func(s string) string { return fmt.Sprintf(names.layer, l, s) }
	q, kv, half := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim, c.HeadDim/2
	// GGUF stores a head's rotary pairs side by side (rows 2i, 2i+1); here, as in
	// Hugging Face's layout, they stand half a head apart.
	rotary := func(row int) int { return row }
	if names.pairs {
		rotary = func(row int) int {
			head, i := row/c.HeadDim*c.HeadDim, row%c.HeadDim
			return head + i%2*half + i/2
		}
	}
	interleave := func(offset int) func(int) int {
		return func(row int) int { return row/tensor.Panel*2*tensor.Panel + row%tensor.Panel + offset }
	}
	padded := (c.FFN + tensor.Panel - 1) / tensor.Panel * tensor.Panel
	out := layer{
		attnNorm: r.vector(name(names.attnNorm), c.Hidden),
		ffnNorm:  r.vector(name(names.ffnNorm), c.Hidden),
		qkv: r.pack(q+2*kv, c.Hidden,
			part{name: name(names.q), rows: q, place: rotary},
			part{name: name(names.k), rows: kv, at: q, place: rotary},
			part{name: name(names.v), rows: kv, at: q + kv}),
		out: r.pack(c.Hidden, q, part{name: name(names.o)}),
		gateUp: r.pack(2*padded, c.Hidden,
			part{name: name(names.gate), rows: c.FFN, place: interleave(0)},
			part{name: name(names.up), rows: c.FFN, place: interleave(tensor.Panel)}),
		down: r.pack(c.Hidden, c.FFN, part{name: name(names.down)}),
	}
	return out, r.err
}

// tensorNames are the names one file format gives to a Llama's tensors.
type tensorNames struct {
	embed, norm, head       string
	layer                   string // format of layer number and name
	attnNorm, q, k, v, o    string
	ffnNorm, gate, up, down string
	pairs                   bool // query and key rows are permuted so that rotary pairs are neighbours
}

var (
	hfNames = tensorNames{
		embed: "model.embed_tokens.weight", norm: "model.norm.weight", head: "lm_head.weight",
		layer:    "model.layers.%d.%s.weight",
		attnNorm: "input_layernorm", q: "self_attn.q_proj", k: "self_attn.k_proj", v: "self_attn.v_proj", o: "self_attn.o_proj",
		ffnNorm: "post_attention_layernorm", gate: "mlp.gate_proj", up: "mlp.up_proj", down: "mlp.down_proj",
	}
	ggufNames = tensorNames{
		embed: "token_embd.weight", norm: "output_norm.weight", head: "output.weight",
		layer:    "blk.%d.%s.weight",
		attnNorm: "attn_norm", q: "attn_q", k: "attn_k", v: "attn_v", o: "attn_output",
		ffnNorm: "ffn_norm", gate: "ffn_gate", up: "ffn_up", down: "ffn_down",
		pairs: true,
	}
)

// part places the rows of one stored tensor into a packed matrix.
type part struct {
	name  string
	rows  int           // 0: all rows of the matrix
	at    int           // row of the matrix where the part starts
	place func(int) int // where a stored row goes, counted from at; nil: in order
}

// reader reads tensors and keeps the first error.
type reader struct {
	file *weights.File
	err  error
}

// tensor looks a tensor up and checks its shape.
func (r *reader) tensor(name string, rows, cols int) *weights.Tensor {
	if r.err != nil {
		return nil
	}
	t, ok := r.file.Tensor(name)
	if !ok {
		r.err = fmt.Errorf("tensor %s is missing", name)
		return nil
	}
	if err := t.Supported(); err != nil {
		r.err = err
		return nil
	}
	if t.Rows() != rows || t.Cols() != cols {
		r.err = fmt.Errorf("tensor %s has shape %v, the config asks for [%d %d]", name, t.Shape, rows, cols)
		return nil
	}
	return t
}

func (r *reader) vector(name string, n int) []float32 {
	t := r.tensor(name, 1, n)
	if t == nil {
		return nil
	}
	v := make([]float32, n)
	t.Read(v, 0, 1)
	return v
}

func (r *reader) pack(n, k int, parts ...part) *tensor.Packed {
	if r.err != nil {
		return nil
	}
	// All parts are checked against the file before the matrix, whose size the
	// config alone decides, is allocated.
	stored := make([]*weights.Tensor, len(parts))
	for i, part := range parts {
		rows := part.rows
		if rows == 0 {
			rows = n
		}
		if stored[i] = r.tensor(part.name, rows, k); stored[i] == nil {
			return nil
		}
	}
	p := tensor.NewPacked(n, k)
	const block = 64
	buf := make([]float32, block*k)
	for i, part := range parts {
		t, rows := stored[i], stored[i].Rows()
		for row := 0; row < rows; row += block {
			count := min(block, rows-row)
			t.Read(buf[:count*k], row, count)
			for i := range count {
				to := row + i
				if part.place != nil {
					to = part.place(to)
				}
				p.SetRow(part.at+to, buf[i*k:(i+1)*k])
			}
		}
	}
	return p
}
