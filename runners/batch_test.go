package runners

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"refreekv/model"
	"refreekv/runners/rows"
)

// batchConfig is an experiment with everything that records in hand could disturb
// in each other: prompts that begin alike, under two context lengths, texts of
// many lengths, variants that evict, and a record whose predictions are NaN.
func batchConfig(t *testing.T, set ...string) *Config {
	t.Helper()
	dir := t.TempDir()
	var lines strings.Builder
	story := strings.Repeat("qz71 bm04 xr93 ", 10)
	for i, q := range []string{
		"ab12 cd34\nab", story + "\nbm", "cd34 ef56\ncd", story + "gh78\nqz", "ab~~ cd34\nab", story + "gh78\nxr", "ab12 cd34\nab",
		strings.Repeat("mn22 op33 ", 30) + "\nop", "gh78 ij90 kl11\ngh",
	} {
		fmt.Fprintf(&lines, "{\"id\": \"r%d\", \"q\": %q, \"a\": \"12\"}\n", i, q)
	}
	write(t, filepath.Join(dir, "own.jsonl"), lines.String())
	task := filepath.Join(dir, "own.yaml")
	write(t, task, "about: own records\ndataset: "+filepath.Join(dir, "own.jsonl")+"\nprompt: \"{q}\\n\"\nanswers: a\nchat: false\nmax_new_tokens: 14\nmetric: exact\n")
	damaged := poisoned(t, func(m map[string][]float32) { m["model.embed_tokens.weight"][int('~')*64+5] = float32(math.NaN()) })
	return small(t, Overrides{
		Models: []string{damaged, tinyM}, Tasks: []string{task, "recall"}, Limit: 9,
		Variants: []string{"full", "refreekv", "snapkv budget=0.5", "h2o budget=0.3 decode=evict", "streamingllm budget=0.4 positions=cache decode=evict"},
		Set:      append([]string{"context_lengths=[200, 512]"}, set...),
	})
}

// Rows do not depend on how many records are in hand, nor on the memory that
// allows them, in anything but timings.
func TestBatch(t *testing.T) {
	c := batchConfig(t)
	type stored struct{ model, task, record string }
	run := func(o Options) ([]rows.Row, []stored) {
		t.Helper()
		var order []stored // in which records were stored
		o.Dir = filepath.Join(t.TempDir(), "run")
		o.Progress = func(u Update) {
			if u.Done == 0 {
				return
			}
			all, _, err := ReadRuns([]string{o.Dir})
			if err != nil {
				t.Fatal(err)
			}
			last := all[len(all)-1]
			order = append(order, stored{last.Model, last.Task, last.Record})
		}
		return mustRun(t, c, o).Rows, order
	}
	want, inOrder := run(Options{Batch: 1})
	for _, row := range want {
		if (row.Error != "") != (row.Record == "r4" && row.Model != tinyM) {
			t.Errorf("%s, record %s, %s: error %q", row.Model, row.Record, row.Variant, row.Error)
		}
	}
	m, err := model.Open(tinyM)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	// Enough for the longest record, and for two or three short ones.
	least := m.WeightBytes() + m.Config.RecordBytes(320, model.Needs{LastRows: 8}, 5, 14)
	for _, o := range []Options{{}, {Batch: 11}, {Batch: 1000}, {Batch: 1000, Memory: least}} {
		got, order := run(o)
		sameRows(t, fmt.Sprintf("one record at a time and batches of %d in %d bytes", o.Batch, o.Memory), want, got)
		if slices.Equal(order, inOrder) {
			t.Errorf("batches of %d in %d bytes: records ended in the order in which they began: they were not in hand together", o.Batch, o.Memory)
		}
	}
	_, once := run(Options{Batch: 2})
	if !slices.Equal(once, inOrder) {
		t.Errorf("with one variant more than a batch may hold, records were in hand together")
	}
}

// Short prompts are prefilled several at once, and their rows are those of records
// run one at a time.
func TestShortPromptsTogether(t *testing.T) {
	dir := t.TempDir()
	var lines strings.Builder
	for i := range 12 {
		q := strings.Repeat(fmt.Sprintf("%c%c12 ", 'a'+i, 'b'+i), 1+i%4*3) + "\n" + string(rune('a'+i))
		fmt.Fprintf(&lines, "{\"id\": \"r%d\", \"q\": %q, \"a\": \"12\"}\n", i, q)
	}
	write(t, filepath.Join(dir, "own.jsonl"), lines.String())
	task := filepath.Join(dir, "own.yaml")
	write(t, task, "about: own records\ndataset: "+filepath.Join(dir, "own.jsonl")+"\nprompt: \"{q}\\n\"\nanswers: a\nchat: false\nmax_new_tokens: 9\nmetric: exact\n")
	c := small(t, Overrides{Models: []string{tinyM}, Tasks: []string{task}, Limit: 12, Set: []string{"context_lengths=[200]"},
		Variants: []string{"full", "refreekv", "h2o budget=0.3", "expected_attention budget=0.5"}})
	run := func(o Options) []rows.Row {
		o.Dir = filepath.Join(t.TempDir(), "run")
		return mustRun(t, c, o).Rows
	}
	want := run(Options{Batch: 1})
	if n := prefilledTogether(want); n > 0 {
		t.Errorf("one record at a time, and %d were prefilled beside another", n)
	}
	for _, batch := range []int{4, 9, 1000} {
		got := run(Options{Batch: batch})
		sameRows(t, fmt.Sprintf("one record at a time and batches of %d", batch), want, got)
		if n := prefilledTogether(got); n < 6 {
			t.Errorf("batches of %d: %d of 12 records were prefilled beside another", batch, n)
		}
	}
}

// prefilledTogether counts the records whose prefill took the same time a token as
// that of the record before: they were measured together.
func prefilledTogether(all []rows.Row) (n int) {
	rate := func(r rows.Row) float64 { return r.Timing.Prefill / float64(r.PromptTokens-r.Timing.Shared) }
	var before rows.Row
	for _, r := range all {
		if r.Variant != "full" || r.Error != "" || r.Timing == before.Timing { // one row under two context lengths
			continue
		}
		if before.Variant != "" && math.Abs(rate(r)/rate(before)-1) < 1e-9 {
			n++
		}
		before = r
	}
	return n
}

// Records in hand stay within the memory that the run may take.
func TestBatchMemory(t *testing.T) {
	m, err := model.Open(tinyS)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const record = 1 << 20
	r := &run{plan: &Plan{Config: &Config{}}, model: m, o: Options{Batch: 1000}}
	b := &batch{r: r, decode: m.NewBatch()}
	p, err := m.Prefill(t.Context(), []int32{1, 2, 3}, model.Needs{})
	if err != nil {
		t.Fatal(err)
	}
	texts, err := b.decode.Add(p, []model.Variant{{Keep: model.All(m.Config.Layers, 3)}}, model.DecodeOptions{MaxNewTokens: 9})
	if err != nil {
		t.Fatal(err)
	}
	h := &hand{pairs: make([]pair, 2), bytes: record, texts: texts}
	for memory, most := range map[int64]int{0: 9, 1: 1, m.WeightBytes() + 3*record: 3, m.WeightBytes() + 4*record - 1: 3} {
		r.o.Memory, b.hands = memory, nil
		for len(b.hands) < 9 && b.hasRoom(h) {
			b.hands = append(b.hands, h)
		}
		if len(b.hands) != most {
			t.Errorf("%d records in hand in %d bytes, want %d", len(b.hands), memory, most)
		}
	}
	// So does what the next record takes over, unless it is in hand anyway.
	r.base, b.hands, r.o.Memory = p, []*hand{h}, m.WeightBytes()+2*record
	if b.hasRoom(h) {
		t.Error("what is taken over was not counted")
	}
	b.hands = []*hand{{prefix: p, bytes: record, texts: texts}}
	if !b.hasRoom(h) {
		t.Error("what is taken over was counted twice")
	}
	// Isolated variants have no other record beside them.
	r.plan.Config.Isolated, r.o.Memory, r.base = 1, 0, nil
	if b.hasRoom(h) {
		t.Error("an isolated record was run beside another")
	}
}
