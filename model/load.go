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
	Name      string       // short name: the registry's, or the last part of the path
	Source    string       // where the weights came from, for people
	Path      string       // folder or .gguf file
	DType     tensor.DType // format in which the weights are held and multiplied
	Config    Config
	Tokenizer *tokenizer.Tokenizer

	file   *weights.File
	embed  *weights.Tensor // [vocab][hidden], read from the mapped file
	layers []layer
	norm   []float32       // [hidden] final RMSNorm
	head   *tensor.Weights // [vocab][hidden]
	ropes  []ropeTable
}

// layer holds one transformer layer's weights, products packed in panels. What a
// model does not have is nil.
type layer struct {
	LayerConfig
	attnNorm, ffnNorm []float32       // [hidden] before attention and feed-forward
	attnPost, ffnPost []float32       // [hidden] behind them
	qNorm, kNorm      []float32       // [headDim] of every head's queries and keys
	qkv               *tensor.Weights // [(heads+2·kvHeads)·headDim][hidden]: query, key, value rows
	qkvBias           []float32       // [(heads+2·kvHeads)·headDim]
	out               *tensor.Weights // [hidden][heads·headDim]
	outBias           []float32       // [hidden]
	gateUp            *tensor.Weights // [2·ffn][hidden]: a panel of gate rows, then the same panel of up rows, and so on
	down              *tensor.Weights // [hidden][ffn]
}

// Find resolves a model's name (registry name, hub id, folder or .gguf file),
// fetching it if need be, and opens it with its weights in a format.
func Find(ctx context.Context, name string, dtype tensor.DType, p hub.Progress) (*Model, error) {
	found, err := hub.Resolve(ctx, name, p)
	if err != nil {
		return nil, err
	}
	m, err := OpenAs(found.Path, dtype)
	if err != nil {
		return nil, err
	}
	m.Name, m.Source = found.Name, found.Source
	return m, nil
}

// Open opens a model folder (config.json, tokenizer.json, *.safetensors) or a
// .gguf file, with its weights in float32. Close it when done.
func Open(path string) (*Model, error) { return OpenAs(path, tensor.Float32) }

// OpenAs is [Open] with the weights held in a format, to which they are rounded.
func OpenAs(path string, dtype tensor.DType) (*Model, error) {
	m, err := openFiles(path)
	if err != nil {
		return nil, err
	}
	m.DType = dtype
	err = m.loadWeights()
	if err == nil {
		// What is still read from the files are the embeddings of single tokens.
		err = m.file.Release()
	}
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("opening model %s: %w", path, err)
	}
	return m, nil
}

// openFiles opens a model without its weights: config, tokenizer and the list of
// tensors.
func openFiles(path string) (*Model, error) {
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
	if err := m.readFiles(); err != nil {
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

// readFiles reads config and tokenizer.
func (m *Model) readFiles() error {
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
	if m.Config.tiedUnsaid {
		_, untied := m.file.Tensor(m.names().head)
		m.Config.Tied = !untied
	}
	return nil
}

// names are the names of the tensors in the model's files.
func (m *Model) names() tensorNames {
	names := hfNames
	if m.file.Format == "gguf" {
		names = ggufNames
	}
	if m.Config.multimodal {
		names = names.textPart(m.file)
	}
	return names.of(m.Config.arch)
}

func (m *Model) loadWeights() error {
	c, names := &m.Config, m.names()
	r := reader{file: m.file, dtype: m.DType}
	m.embed = r.tensor(names.embed, c.Vocab, c.Hidden)
	m.norm = r.norm(names.norm, c.Hidden, c.arch.onePlus && !names.plusOne)
	if c.Tied {
		m.head = r.pack(c.Vocab, c.Hidden, part{name: names.embed})
	} else {
		m.head = r.pack(c.Vocab, c.Hidden, part{name: names.head})
	}
	// A config may claim millions of layers: the last one must be there before
	// any of them gets room.
	r.tensor(names.weight(c.Layers-1, names.attnNorm), 1, c.Hidden)
	if r.err != nil {
		return r.err
	}
	m.layers = make([]layer, c.Layers)
	readers := make([]reader, c.Layers)
	tensor.Parallel(c.Layers, func(l, _ int) {
		readers[l].file, readers[l].dtype = m.file, m.DType
		m.layers[l] = m.loadLayer(l, names, &readers[l])
	})
	used := r.used
	for l := range readers {
		if readers[l].err != nil {
			return readers[l].err
		}
		used = append(used, readers[l].used...)
	}
	for i := range c.Ropes {
		m.ropes = append(m.ropes, ropeTable{rope: c.Ropes[i]})
	}
	return m.checkAllUsed(used, names)
}

// checkAllUsed refuses a model with tensors that the forward pass does not know:
// without them its numbers would be wrong.
func (m *Model) checkAllUsed(used []string, names tensorNames) error {
	known := map[string]bool{names.head: true}
	for _, name := range used {
		known[name] = true
	}
	for _, name := range m.file.Names() {
		if known[name] || strings.HasSuffix(name, "rotary_emb.inv_freq") || strings.HasPrefix(name, "rope_f") {
			continue
		}
		if m.Config.multimodal && otherPart(name) != "" {
			continue
		}
		return fmt.Errorf("tensor %s belongs to no part of a %s that is supported", name, m.Config.Architecture)
	}
	return nil
}

func (m *Model) loadLayer(l int, names tensorNames, r *reader) layer {
	c := m.Config
	name := func(s string) string { return names.weight(l, s) }
	q, kv, half := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim, c.HeadDim/2
	// Some GGUF files store a head's rotary pairs side by side (rows 2i, 2i+1);
	// here, as in Hugging Face's layout, they stand half a head apart.
	var rotary func(int) int
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
	qkv := []part{
		{name: name(names.q), rows: q, place: rotary},
		{name: name(names.k), rows: kv, at: q, place: rotary},
		{name: name(names.v), rows: kv, at: q + kv},
	}
	gateUp := []part{
		{name: name(names.gate), rows: c.FFN, place: interleave(0)},
		{name: name(names.up), rows: c.FFN, place: interleave(tensor.Panel)},
	}
	if c.arch.fused {
		qkv = []part{{name: name(names.qkv), rows: q + 2*kv}}
		for i := range gateUp {
			gateUp[i].name, gateUp[i].from, gateUp[i].stored = name(names.gateUp), i*c.FFN, 2*c.FFN
		}
	}
	less := c.arch.onePlus && !names.plusOne
	out := layer{
		LayerConfig: c.LayerParts[l],
		attnNorm:    r.norm(name(names.attnNorm), c.Hidden, less),
		ffnNorm:     r.norm(name(names.ffnNorm), c.Hidden, less),
		qkv:         r.pack(q+2*kv, c.Hidden, qkv...),
		qkvBias:     r.bias(q+2*kv, qkv...),
		out:         r.pack(c.Hidden, q, part{name: name(names.o)}),
		outBias:     r.bias(c.Hidden, part{name: name(names.o), rows: c.Hidden}),
		gateUp:      r.pack(2*padded, c.Hidden, gateUp...),
		down:        r.pack(c.Hidden, c.FFN, part{name: name(names.down)}),
	}
	if c.arch.qkNorm {
		out.qNorm, out.kNorm = r.norm(name(names.qNorm), c.HeadDim, less), r.norm(name(names.kNorm), c.HeadDim, less)
	}
	if c.arch.sandwich {
		out.attnPost, out.ffnPost = r.norm(name(names.attnPost), c.Hidden, less), r.norm(name(names.ffnPost), c.Hidden, less)
	}
	return out
}

// part places the rows of one stored tensor into a packed matrix.
type part struct {
	name         string
	rows         int           // 0: all rows of the matrix
	from, stored int           // first row of the part and rows of the tensor it lies in; 0: the part is the tensor
	at           int           // row of the matrix where the part starts
	place        func(int) int // where a row of the part goes, counted from at; nil: in order
}

func (p part) to(row int) int {
	if p.place == nil {
		return p.at + row
	}
	return p.at + p.place(row)
}

// reader reads tensors and keeps the first error.
type reader struct {
	file  *weights.File
	dtype tensor.DType // of the matrices
	used  []string     // names of the tensors that were asked for
	err   error
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
	r.used = append(r.used, name)
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

// norm reads the weights of an RMSNorm; less: they are stored less one.
func (r *reader) norm(name string, n int, less bool) []float32 {
	v := r.vector(name, n)
	if less {
		for i := range v {
			v[i]++
		}
	}
	return v
}

// bias reads what the parts' products add, [n]; nil if no part has a bias.
func (r *reader) bias(n int, parts ...part) []float32 {
	var out []float32
	for _, part := range parts {
		name := strings.TrimSuffix(part.name, ".weight") + ".bias"
		if _, ok := r.file.Tensor(name); !ok || r.err != nil {
			continue
		}
		if out == nil {
			out = make([]float32, n)
		}
		for row, v := range r.vector(name, part.rows) {
			out[part.to(row)] = v
		}
	}
	return out
}

func (r *reader) vector(name string, n int) []float32 {
	t := r.tensor(name, 1, n)
	if t == nil {
		return nil
	}
	v := make([]float32, n)
	r.read(t, v, 0, 1)
	return v
}

// read reads rows of a tensor whose shape was checked.
func (r *reader) read(t *weights.Tensor, dst []float32, row, rows int) {
	if err := t.Read(dst, row, rows); err != nil && r.err == nil {
		r.err = err
	}
}

func (r *reader) pack(n, k int, parts ...part) *tensor.Weights {
	if r.err != nil {
		return nil
	}
	// All parts are checked against the file before the matrix, whose size the
	// config alone decides, is allocated.
	stored := make([]*weights.Tensor, len(parts))
	for i := range parts {
		if parts[i].rows == 0 {
			parts[i].rows = n
		}
		if stored[i] = r.tensor(parts[i].name, max(parts[i].rows, parts[i].stored), k); stored[i] == nil {
			return nil
		}
	}
	p := tensor.NewWeights(n, k, r.dtype)
	const block = 64
	buf := make([]float32, block*k)
	for i, part := range parts {
		for row := 0; row < part.rows; row += block {
			count := min(block, part.rows-row)
			r.read(stored[i], buf[:count*k], part.from+row, count)
			for j := range count {
				p.SetRow(part.to(row+j), buf[j*k:(j+1)*k])
			}
		}
	}
	return p
}
