package reports

import (
	"fmt"
	"unicode/utf8"

	"refreekv/runners/rows"
)

// A page holds at most so many bytes of prompts, and of the places of kept entries:
// a browser opens what comes of it in seconds. rows.jsonl holds all.
const (
	maxPrompts   = 24 << 20
	maxDensities = 16 << 20
	minPart      = 32 // bytes of a part of a prompt that are shown in any case
)

func newPagePrompt(p rows.Prompt) pagePrompt {
	if p.Parts != nil {
		return pagePrompt{Parts: p.Parts, Exact: true, Answers: p.Answers}
	}
	const parts = 32
	out := pagePrompt{Answers: p.Answers}
	for i := range parts {
		from, to := boundary(p.Text, i*len(p.Text)/parts), boundary(p.Text, (i+1)*len(p.Text)/parts)
		out.Parts = append(out.Parts, p.Text[from:to])
	}
	return out
}

// boundary is the first place from at on where a character of s begins.
func boundary(s string, at int) int {
	for at < len(s) && !utf8.RuneStart(s[at]) {
		at++
	}
	return at
}

// shorten leaves out what would make the page too big to open, and notes it: the
// middle of each part of the longest prompts, then the places of the last rows.
func (d *pageData) shorten(prompts, densities int) {
	d.Notes = []string{}
	if limit := partLimit(d.Prompts, prompts); limit > 0 {
		cut := 0
		for i := range d.Prompts {
			if d.Prompts[i].shorten(limit); d.Prompts[i].Cut > 0 {
				cut++
			}
		}
		d.Notes = append(d.Notes, fmt.Sprintf("%s longer than %d bytes: the middle of each of their parts is left out of this page, to keep its size in hand", count(cut, "prompt"), limit))
	}
	sum, left := 0, 0
	for i, text := range d.Row.Density {
		if sum += len(text); sum > densities && text != "" {
			d.Row.Density[i] = ""
			left++
		}
	}
	if left > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("where entries stay is left out for the last %s, to keep the page's size in hand; kept_density in rows.jsonl has it", count(left, "row")))
	}
}

// partLimit is the greatest power of two for which all prompts take no more than
// room bytes when no prompt takes more than it; 0: they need no limit.
func partLimit(all []pagePrompt, room int) int {
	size := func(limit int) (sum int) {
		for _, p := range all {
			sum += min(p.size(), limit)
		}
		return sum
	}
	longest := 0
	for _, p := range all {
		longest = max(longest, p.size())
	}
	if size(longest) <= room {
		return 0
	}
	limit := 1
	for limit*2 < longest && size(limit*2) <= room {
		limit *= 2
	}
	return limit
}

func (p pagePrompt) size() (sum int) {
	for _, part := range p.Parts {
		sum += len(part)
	}
	return sum
}

// shorten cuts the middle out of each part so that the prompt takes limit bytes.
func (p *pagePrompt) shorten(limit int) {
	size := p.size()
	if size <= limit {
		return
	}
	parts := make([]string, len(p.Parts))
	for i, part := range p.Parts {
		room := max(minPart, int(int64(len(part))*int64(limit)/int64(size)))
		if parts[i] = part; len(part) <= room {
			continue
		}
		head, tail := boundary(part, room/2), boundary(part, len(part)-room/2)
		parts[i] = part[:head] + " … " + part[tail:]
		p.Cut += utf8.RuneCountInString(part[head:tail])
	}
	p.Parts = parts
}
