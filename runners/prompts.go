package runners

import (
	"context"
	"fmt"
	"strings"

	"refreekv/model/hub"
	"refreekv/runners/rows"
	"refreekv/tasks"
)

// Prompts makes the prompts of stored rows again, which rows do not hold. It
// fetches nothing: where a model or the data is not at hand, or gives another
// prompt than the row's, the prompt is left out; missing says why, in a line.
// Protected tasks have none.
func Prompts(ctx context.Context, p *Provenance, all []rows.Row) (out map[rows.PromptKey]rows.Prompt, missing string, err error) {
	c, err := p.config()
	if err != nil {
		return nil, "", err
	}
	plan, err := NewPlan(ctx, c, Shard{}, nil)
	if ctx.Err() != nil {
		return nil, "", ctx.Err()
	}
	if err != nil {
		return nil, fmt.Sprintf("prompts are left out: %v", err), nil
	}
	wanted := map[key]string{} // the hash
	for _, row := range all {
		wanted[keyOf(row)] = row.PromptHash
	}
	out = map[rows.PromptKey]rows.Prompt{}
	r := run{plan: plan, identities: map[string]*identity{}}
	for _, name := range c.Models {
		found, ok := hub.Local(name)
		if !ok {
			missing = fmt.Sprintf("prompts are left out: model %s is not on this machine", name)
			continue
		}
		prompts, err := localPrompts(ctx, found)
		if err != nil {
			missing = fmt.Sprintf("prompts are left out: %v", err)
			continue
		}
		r.identities[name] = &identity{prompts: prompts}
	}
	for _, u := range plan.Units {
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		task := plan.Tasks[u.Task]
		hash, ok := wanted[r.key(u)]
		at := rows.PromptKey{Task: task.Name, Index: task.Records[u.Record].Index, Hash: hash}
		if _, known := out[at]; known || !ok || task.Definition.Protected || r.identities[u.Model] == nil {
			continue
		}
		j, err := r.job(u)
		if err != nil || j.prompt.Hash() != hash {
			missing = fmt.Sprintf("prompts are left out of which the data at hand gives others, as of record %s of task %s", task.Records[u.Record].ID, task.Name)
			continue
		}
		refs, err := task.Definition.References(task.Records[u.Record])
		if err != nil {
			return nil, "", err
		}
		out[at] = rows.Prompt{Text: j.prompt.Text, Parts: promptParts(r.identities[u.Model].prompts.Tokenizer, j.prompt), Answers: refs.Answers}
	}
	return out, missing, nil
}

// promptParts cuts a prompt's text where the parts of a row's density begin. It is
// nil where a cut would divide a character, or the tokens spell another text. Tokens
// that the tokenizer put before the text are left out.
func promptParts(t tasks.Tokenizer, p tasks.Prompt) []string {
	n := len(p.Tokens)
	parts := make([]string, rows.DensityBins(n))
	for b := range parts {
		parts[b] = t.Decode(p.Tokens[rows.BinStart(b, len(parts), n):rows.BinStart(b+1, len(parts), n)], false)
	}
	before, ok := strings.CutSuffix(strings.Join(parts, ""), p.Text)
	if !ok || len(parts) == 0 || len(before) > len(parts[0]) {
		return nil
	}
	parts[0] = parts[0][len(before):]
	return parts
}
