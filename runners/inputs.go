package runners

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"refreekv/model"
	"refreekv/model/hub"
	"refreekv/model/tensor"
	"refreekv/model/tokenizer"
	"refreekv/model/weights"
	"refreekv/runners/rows"
	"refreekv/tasks"
)

// rowsVersion stands for this program among what determines a row. Raise it with
// every change after which the same inputs may give another row: in a kernel, a
// pruner's or a metric's definition, a row's fields. Stored rows of another
// version are then run again; changes that no row shows must leave it alone,
// and so must fields that older rows may lack.
const rowsVersion = 3

// An identity is a model as far as rows and prompts depend on it.
type identity struct {
	facts   ModelFacts
	prompts tasks.Model
}

// identify reads a model's identity without loading its weights.
func identify(ctx context.Context, found hub.Found) (*identity, error) {
	f, err := weights.Open(found.Path)
	if err != nil {
		return nil, fmt.Errorf("opening model %s: %w", found.Path, err)
	}
	defer f.Close()
	m, parameters, err := withoutWeights(ctx, found, f)
	if err != nil {
		return nil, err
	}
	return newIdentity(m, parameters, f.Hash)
}

// withoutWeights opens the config and tokenizer of a model with these weights and
// counts its parameters.
func withoutWeights(ctx context.Context, found hub.Found, f *weights.File) (m *model.Model, parameters int64, err error) {
	d, err := model.Describe(ctx, found.Path, nil)
	if err != nil {
		return nil, 0, err
	}
	var t *tokenizer.Tokenizer
	if f.Format == "gguf" {
		t, err = tokenizer.FromGGUF(f.Meta)
	} else {
		t, err = tokenizer.Load(modelFolder(found.Path))
	}
	if err != nil {
		return nil, 0, fmt.Errorf("opening model %s: %w", found.Path, err)
	}
	return &model.Model{Name: found.Name, Source: found.Source, Path: found.Path, Config: d.Config, Tokenizer: t}, d.Parameters, nil
}

// localPrompts is a model on this machine as far as prompts depend on it.
func localPrompts(ctx context.Context, found hub.Found) (tasks.Model, error) {
	f, err := weights.Open(found.Path)
	if err != nil {
		return tasks.Model{}, fmt.Errorf("opening model %s: %w", found.Path, err)
	}
	defer f.Close()
	m, _, err := withoutWeights(ctx, found, f)
	if err != nil {
		return tasks.Model{}, err
	}
	return promptModel(m), nil
}

// promptModel is a model as far as prompts depend on it.
func promptModel(m *model.Model) tasks.Model {
	return tasks.Model{Tokenizer: m.Tokenizer, Family: m.Family(), MaxPositions: m.Config.MaxPositions}
}

// newIdentity is the identity of a model of that size whose weights have this hash.
func newIdentity(m *model.Model, parameters int64, weightsHash func() (string, error)) (*identity, error) {
	c := m.Config
	facts := ModelFacts{
		Source: m.Source, Architecture: c.Architecture, Tokenizer: m.Tokenizer.Hash(),
		Parameters: parameters, Layers: c.Layers, Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim,
	}
	if template := m.Tokenizer.ChatTemplate(); template != "" {
		sum := sha256.Sum256([]byte(template))
		facts.Template = hex.EncodeToString(sum[:])
	}
	var err error
	if facts.Weights, err = weightsHash(); err != nil {
		return nil, fmt.Errorf("hashing the weights of %s: %w", m.Path, err)
	}
	if facts.Config, err = configHash(m.Path); err != nil {
		return nil, fmt.Errorf("hashing the config of %s: %w", m.Path, err)
	}
	return &identity{facts, promptModel(m)}, nil
}

// modelFolder is where the files stand that belong to safetensors weights.
func modelFolder(path string) string {
	if filepath.Ext(path) == ".safetensors" {
		return filepath.Dir(path)
	}
	return path
}

// configHash is the SHA-256 of a model's config.json, in hex; empty where the
// weights' own file holds the config.
func configHash(path string) (string, error) {
	dir := modelFolder(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", err
	}
	raw, err := weights.ReadSmall(filepath.Join(dir, "config.json"))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// A pair is a variant to be run on a record, with its row's Inputs.
type pair struct {
	PlannedVariant
	inputs string
}

// pairs are all variants on a job's record. Their inputs hash what determines a
// row, Timing aside: this program (rowsVersion), the model's weights and the format
// in which they are multiplied, whatever they are stored in, config and tokenizer
// (chat template and stop tokens included), the task's definition under the
// protocol (generation length, stop rules and metric), the record with its
// references, the prompt's tokens, the settings of fidelity and isolation, and
// the variant's pruner and settings in canonical form. The context length is seen
// in the prompt.
func (r *run) pairs(j job) []pair {
	task, facts := r.plan.Tasks[j.unit.Task], r.identities[j.unit.Model].facts
	record := task.Records[j.unit.Record]
	fidelity, isolated := r.plan.Config.fidelity(), r.plan.Config.Isolated
	if isolated > 0 {
		fidelity = 0 // not measured then
	}
	common := fmt.Sprintf("rows %d\nweights %s\nconfig %s\ntokenizer %s\ntask %s\nprompt %s\nfidelity %d\nisolated %d\nrecord %q %#v\n",
		rowsVersion, facts.Weights, facts.Config, facts.Tokenizer, task.Definition.Hash(), j.prompt.Hash(), fidelity, isolated, record.ID, record.Fields)
	if dtype := r.plan.Config.dtype(); dtype != tensor.Float32 {
		common += fmt.Sprintf("dtype %s\n", dtype)
	}
	out := make([]pair, len(r.plan.Variants))
	for i, v := range r.plan.Variants {
		sum := sha256.Sum256([]byte(common + "variant " + v.Label))
		out[i] = pair{v, hex.EncodeToString(sum[:8])}
	}
	return out
}

// row is what a pair's row says before anything is measured.
func (p pair) row(blank rows.Row) rows.Row {
	blank.Variant, blank.Pruner, blank.Inputs = p.Label, p.Spec.Name, p.inputs
	return blank
}

// failed is the row of a pair that could not be run.
func (p pair) failed(blank rows.Row, err error) rows.Row {
	out := p.row(blank)
	out.Error = err.Error()
	if _, ok := err.(noRoomError); ok {
		out.Inputs = "" // the next run may have more memory
	}
	return out
}

// taken is a row with these inputs, wherever it was measured, as the pair's row.
func (p pair) taken(blank, row rows.Row) rows.Row {
	row.Model, row.ContextLength, row.Index, row.Truncated = blank.Model, blank.ContextLength, blank.Index, blank.Truncated
	// Rows of earlier versions lack them.
	row.Parameters, row.DType, row.Labels = blank.Parameters, blank.DType, blank.Labels
	return row
}
