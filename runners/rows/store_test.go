package rows

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// same compares rows; stores need not tell an absent list from an empty one.
func same(want, got []Row) string { return cmp.Diff(want, got, cmpopts.EquateEmpty()) }

func open(t *testing.T, path string) (*Store, []Row) {
	t.Helper()
	s, stored, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, stored
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func write(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

// storeOf is a store's file with these rows.
func storeOf(t *testing.T, all []Row) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := Rewrite(path, all); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAppendAndReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	s, stored := open(t, path)
	if len(stored) != 0 {
		t.Fatalf("a new store holds %d rows", len(stored))
	}
	for i := range 3 {
		if err := s.Append(group("recall", i)); err != nil {
			t.Fatal(err)
		}
		// What Append has returned from must be in the file, closed or not.
		got, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := same(groups(i+1), got); diff != "" {
			t.Fatalf("after %d appends (-want +got):\n%s", i+1, diff)
		}
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}
	s, stored = open(t, path)
	if diff := same(groups(3), stored); diff != "" {
		t.Errorf("opened again (-want +got):\n%s", diff)
	}
	if err := s.Append(group("recall", 3)); err != nil {
		t.Fatal(err)
	}
	if _, stored = open(t, path); len(stored) != 12 {
		t.Errorf("%d rows after appending to an opened store, want 12", len(stored))
	}
}

func TestEveryFieldSurvivesJSON(t *testing.T) {
	path := storeOf(t, odd())
	f := bytes.NewReader(read(t, path))
	got, end, err := scan(f, path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := same(odd(), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if end != f.Size() {
		t.Errorf("the last line ends at %d, the file at %d", end, f.Size())
	}
	for _, list := range []string{`"kept":null`, `"tokens":null`} {
		if bytes.Contains(read(t, path), []byte(list)) {
			t.Errorf("%s: an absent list is written as null, not []", list)
		}
	}
}

func TestInvalidUTF8BecomesReplacementCharacters(t *testing.T) {
	all := group("recall", 0)
	all[0].Text = "a\xff\xfeb\xe4\xbd"
	got, err := Read(storeOf(t, all))
	if err != nil {
		t.Fatal(err)
	}
	if want := "a\uFFFD\uFFFDb\uFFFD\uFFFD"; got[0].Text != want {
		t.Errorf("text %q, want %q", got[0].Text, want)
	}
}

// A kill can leave any prefix of what was to be written.
func TestOpenAfterAnyPrefix(t *testing.T) {
	all := groups(3)
	whole := read(t, storeOf(t, all))
	ends := []int{0}
	for i := range all {
		ends = append(ends, len(read(t, storeOf(t, all[:i+1]))))
	}
	cuts := []int{}
	for n := 0; n < len(whole); n += 67 {
		cuts = append(cuts, n)
	}
	for _, end := range ends { // and one byte around each row's end
		cuts = append(cuts, max(end-1, 0), end, min(end+1, len(whole)))
	}
	for _, n := range cuts {
		path := filepath.Join(t.TempDir(), "rows.jsonl")
		write(t, path, whole[:n])
		s, stored := open(t, path)
		done := 0
		for done < len(all) && ends[done+1] <= n {
			done++
		}
		if diff := same(all[:done], stored); diff != "" {
			t.Fatalf("%d bytes (-want +got):\n%s", n, diff)
		}
		for done < len(all) { // the record in hand, then the others
			next := min((done/len(variants)+1)*len(variants), len(all))
			if err := s.Append(all[done:next]); err != nil {
				t.Fatal(err)
			}
			done = next
		}
		if got := read(t, path); !bytes.Equal(whole, got) {
			t.Fatalf("cut at %d and completed, the file differs:\n%s", n, got)
		}
	}
}

func TestTornTails(t *testing.T) {
	full := read(t, storeOf(t, groups(2)))
	lines := bytes.SplitAfter(full, []byte("\n"))
	whole := bytes.Join(lines[:4], nil)
	for name, tail := range map[string]string{
		"nothing":                          "",
		"a line without its newline":       strings.TrimSuffix(string(lines[4]), "\n"),
		"half a line":                      string(lines[4][:20]),
		"one byte":                         "{",
		"zero bytes of a page not written": strings.Repeat("\x00", 100),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "rows.jsonl")
			write(t, path, append(bytes.Clone(whole), tail...))
			got, err := Read(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := same(groups(2)[:4], got); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
			if n := len(read(t, path)); n != len(whole)+len(tail) {
				t.Errorf("reading changed the file to %d bytes", n)
			}
			if _, got = open(t, path); same(groups(2)[:4], got) != "" {
				t.Errorf("opened %d rows, want 4", len(got))
			}
			if got := read(t, path); !bytes.Equal(whole, got) {
				t.Errorf("the tail was not cut off: %d bytes, want %d", len(got), len(whole))
			}
		})
	}
}

// What no kill can leave is refused, with the place and the remedy, and the file
// stays as it is.
func TestDamagedStores(t *testing.T) {
	line := func(r Row) string {
		var b bytes.Buffer
		if err := encode(&b, []Row{r}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	all := groups(3)
	other := func(change func(*Row)) Row { r := all[4]; change(&r); return r }
	replaced := func(i int, text string) string {
		var b strings.Builder
		for k, r := range all {
			if k == i {
				b.WriteString(text)
				continue
			}
			b.WriteString(line(r))
		}
		return b.String()
	}
	for _, c := range []struct {
		name, content, at, what string
	}{
		{"no JSON in the middle", replaced(4, "no row at all\n"), ":5", "no row"},
		{"half a line in the middle", replaced(4, line(all[4])[:40]+"\n"), ":5", "no row"},
		{"half a line joined with the next", replaced(4, line(all[4])[:40]), ":5", "no row"},
		{"an empty line", replaced(4, "\n"+line(all[4])), ":5", "no row"},
		{"null", replaced(0, "null\n"), ":1", "no row"},
		{"an object of something else", replaced(0, "{\"pred\":\"x\"}\n"), ":1", "no row"},
		{"a wrong type", replaced(1, strings.Replace(line(all[1]), `"index":0`, `"index":"0"`, 1)), ":2", "no row"},
		{"a number that does not fit", replaced(1, strings.Replace(line(all[1]), `"tokens":[53`, `"tokens":[5300000000`, 1)), ":2", "no row"},
		{"zero bytes in the middle", replaced(4, strings.Repeat("\x00", 100)+"\n"), ":5", "no row"},
		{"a row of another variant", replaced(4, line(other(func(r *Row) { r.Variant = "full" }))), ":5", "full on task recall, record 1 stands already in line 4"},
		{"a row of another record", replaced(4, line(other(func(r *Row) { r.Index = 2 }))), ":8", "stands already in line 5"},
		{"a row of other inputs", string(append([]byte(replaced(9, "")), line(other(func(r *Row) { r.Inputs = "2" }))...)), ":10", "stands already in line 5"},
		{"a record twice", replaced(9, "") + line(all[0]) + line(all[1]) + line(all[2]), ":10", "stands already in line 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "rows.jsonl")
			write(t, path, []byte(c.content))
			_, _, err := Open(path)
			if err == nil {
				t.Fatal("opened")
			}
			for _, want := range []string{path + c.at + " ", c.what, "run again"} {
				if !strings.Contains(strings.Replace(err.Error(), c.at+":", c.at+" ", 1), want) {
					t.Errorf("the error lacks %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has several lines: %v", err)
			}
			if got := read(t, path); string(got) != c.content {
				t.Error("the refused file was changed")
			}
			if _, err := Read(path); err == nil {
				t.Error("Read reads what Open refuses")
			}
		})
	}
}

// Earlier rows may be of several settings, and there need not be any.
func TestReadEarlier(t *testing.T) {
	all := append(groups(2), groups(2)...)
	for i := range all {
		all[i].Inputs = string(rune('a' + i))
	}
	path := storeOf(t, all)
	if got, err := ReadEarlier(path); err != nil || same(all, got) != "" {
		t.Errorf("%d rows (%v), want %d", len(got), err, len(all))
	}
	if got, err := ReadEarlier(path + ".none"); err != nil || got != nil {
		t.Errorf("without a file: %d rows (%v)", len(got), err)
	}
	write(t, path, []byte("no row\n"))
	if _, err := ReadEarlier(path); err == nil || !strings.Contains(err.Error(), path+":1 is no row") {
		t.Errorf("a file of something else: %v", err)
	}
}

func TestStoresThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "no", "rows.jsonl")
	if _, _, err := Open(missing); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("error %v does not name %s", err, missing)
	}
	if _, err := Read(filepath.Join(dir, "rows.jsonl")); err == nil || !strings.Contains(err.Error(), "rows.jsonl") {
		t.Errorf("error %v does not name the file", err)
	}
	if _, _, err := Open(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v does not name %s", err, dir)
	}
}

// A value that JSON cannot hold must not leave half a record.
func TestAppendOfARowThatCannotBeWritten(t *testing.T) {
	path := storeOf(t, groups(1))
	s, _ := open(t, path)
	bad := group("recall", 1)
	bad[2].Score = math.NaN()
	if err := s.Append(bad); err == nil || !strings.Contains(err.Error(), "recall-1") || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v names not the record and the file", err)
	}
	if err := s.Append(group("recall", 1)); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(path); err != nil || same(groups(2), got) != "" {
		t.Errorf("the store holds %d rows (%v), want 6", len(got), err)
	}
}

func TestRewriteIsAtomic(t *testing.T) {
	path := storeOf(t, groups(2))
	before := read(t, path)
	bad := groups(3)
	bad[8].Budget = math.Inf(1)
	if err := Rewrite(path, bad); err == nil {
		t.Error("infinity was written")
	}
	if !bytes.Equal(before, read(t, path)) {
		t.Error("a failed rewrite changed the file")
	}

	// A reader that has the file open keeps what it opened: the old file is
	// replaced, not overwritten.
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Rewrite(path, groups(1)); err != nil {
		t.Fatal(err)
	}
	var old bytes.Buffer
	if _, err := old.ReadFrom(f); err != nil || !bytes.Equal(before, old.Bytes()) {
		t.Errorf("an open reader sees %d bytes (%v), want the old %d", old.Len(), err, len(before))
	}
	if got, err := Read(path); err != nil || same(groups(1), got) != "" {
		t.Errorf("rewritten: %d rows (%v), want 3", len(got), err)
	}
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(names) != 1 {
		t.Errorf("beside the store stand %v (%v)", names, err)
	}

	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Rewrite(path, groups(1)); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(info, after) {
		t.Error("the same rows were written again")
	}
	deep := filepath.Join(t.TempDir(), "a", "b", "rows.jsonl")
	if err := Rewrite(deep, groups(1)); err != nil {
		t.Error(err)
	}
}

func FuzzScan(f *testing.F) {
	var whole bytes.Buffer
	if err := encode(&whole, append(groups(1), odd()...)); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.Bytes())
	f.Add(whole.Bytes()[:whole.Len()/2])
	f.Add([]byte("{}\n"))
	f.Add([]byte("null\n\n"))
	f.Add([]byte(`{"model":"m","task":"t","variant":"full","kept":null,"tokens":[1,2],"score":1e-400}` + "\n"))
	f.Add([]byte(`{"model":"m","task":"t","variant":"full","text":"\ud800\u0000"}` + "\n{"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, end, err := scan(bytes.NewReader(raw), "rows.jsonl")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "rows.jsonl:") || got != nil || end != 0 {
				t.Fatalf("error %q with %d rows", err, len(got))
			}
			return
		}
		if n := bytes.Count(raw, []byte("\n")); len(got) != n || int(end) != bytes.LastIndexByte(raw, '\n')+1 {
			t.Fatalf("%d lines gave %d rows up to byte %d", n, len(got), end)
		}
		// What was read once is stored and read without change.
		var out bytes.Buffer
		if err := encode(&out, got); err != nil {
			t.Fatal(err)
		}
		again, _, err := scan(&out, "rows.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		if diff := same(got, again); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}
