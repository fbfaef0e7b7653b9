package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// indexFile names the tensors of sharded weights.
const indexFile = "model.safetensors.index.json"

// extension is how a safetensors file's name ends.
const extension = ".safetensors"

// mostHeader is the longest header that safetensors itself accepts; it bounds
// GGUF's and the JSON files too.
const mostHeader = 100_000_000

// shards lists the weight files of a folder, sorted: those that the index
// names, else model.safetensors, else every *.safetensors file.
func shards(dir string) ([]string, error) {
	raw, err := ReadSmall(filepath.Join(dir, indexFile))
	if err == nil {
		return indexShards(filepath.Join(dir, indexFile), raw)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), extension) {
			names = append(names, e.Name())
		}
	}
	if slices.Contains(names, "model.safetensors") {
		return []string{"model.safetensors"}, nil
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s holds no *.safetensors file", dir)
	}
	return names, nil
}

func indexShards(path string, raw []byte) ([]string, error) {
	var index struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var names []string
	for tensor, name := range index.Map {
		if name != filepath.Base(name) || strings.ContainsAny(name, "/\\\x00") || !strings.HasSuffix(name, extension) {
			return nil, fmt.Errorf("%s: tensor %s is said to be in %q, which is no *.safetensors file of this folder", path, tensor, name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: weight_map names no file", path)
	}
	return names, nil
}

// safetensor is one entry of the header.
type safetensor struct {
	Type    string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets []uint64 `json:"data_offsets"`
}

// readSafetensors reads the header of one safetensors file: its length, 8 bytes
// little-endian, a JSON object, then the tensors without gaps.
func (f *File) readSafetensors(data []byte) error {
	length := binary.LittleEndian.Uint64(data)
	if length > mostHeader || length > uint64(len(data)-8) {
		return fmt.Errorf("the header says it is %d bytes long, the file has %d: this is no whole safetensors file", length, len(data))
	}
	header, body := data[8:8+length], data[8+length:]
	entries, err := parseHeader(header)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	slices.SortFunc(entries, func(a, b namedTensor) int { return slices.Compare(a.Offsets, b.Offsets) })
	end := uint64(0)
	for _, e := range entries {
		if e.Offsets[0] != end || e.Offsets[1] < end || e.Offsets[1] > uint64(len(body)) {
			return fmt.Errorf("tensor %q lies at bytes %d to %d of %d; the one before ends at %d", e.name, e.Offsets[0], e.Offsets[1], len(body), end)
		}
		end = e.Offsets[1]
		if err := f.addSafetensor(e, body[e.Offsets[0]:e.Offsets[1]]); err != nil {
			return err
		}
	}
	if end != uint64(len(body)) {
		return fmt.Errorf("the tensors end at byte %d of %d", end, len(body))
	}
	return nil
}

type namedTensor struct {
	name string
	safetensor
}

// parseHeader decodes the header object and refuses repeated names, which a
// plain map would hide.
func parseHeader(header []byte) ([]namedTensor, error) {
	d := json.NewDecoder(bytes.NewReader(header))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("no JSON object: this is no safetensors file")
	}
	var out []namedTensor
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		if seen[name] {
			return nil, fmt.Errorf("tensor %q is described twice", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return nil, err
			}
			continue
		}
		e := namedTensor{name: name}
		if err := d.Decode(&e.safetensor); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		if e.Type == "" || e.Shape == nil {
			return nil, fmt.Errorf("tensor %q: dtype or shape is missing", name)
		}
		if len(e.Offsets) != 2 {
			return nil, fmt.Errorf("tensor %q: data_offsets holds %d numbers, want 2", name, len(e.Offsets))
		}
		out = append(out, e)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if rest := bytes.TrimSpace(header[d.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes follow the JSON object", len(rest))
	}
	return out, nil
}

// widths are the bytes per element of the types that safetensors knows.
var widths = map[string]int{
	"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
	"I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}

func (f *File) addSafetensor(e namedTensor, data []byte) error {
	n, err := elements(e.Shape)
	if err != nil {
		return fmt.Errorf("tensor %q: %w", e.name, err)
	}
	if width, ok := widths[e.Type]; ok && n*width != len(data) {
		return fmt.Errorf("tensor %q: %d elements of %s need %d bytes, the file gives it %d", e.name, n, e.Type, n*width, len(data))
	}
	t := &Tensor{Name: e.name, Shape: e.Shape, Type: e.Type, data: data}
	switch e.Type {
	case "F32", "F16", "BF16":
		t.codec = codecs[e.Type]
	}
	return f.add(t)
}
