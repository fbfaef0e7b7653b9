package datasets

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// place writes a file of one record that says where it stands.
func place(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "{\"at\":%q}\n", path), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A set is taken from Options.Dir, else $REFREEKV_DATA, else the cache.
func TestLookupOrder(t *testing.T) {
	dir, env, cache := t.TempDir(), t.TempDir(), t.TempDir()
	t.Setenv("REFREEKV_DATA", env)
	t.Setenv("REFREEKV_CACHE", cache)
	// From the last place to the first: each is preferred to those before it.
	for _, path := range []string{
		filepath.Join(cache, "datasets", "gsm8k", "test.jsonl"),
		filepath.Join(env, "test.jsonl"),
		filepath.Join(env, "gsm8k.jsonl"),
		filepath.Join(dir, "test.jsonl"),
		filepath.Join(dir, "gsm8k.jsonl"),
	} {
		place(t, path)
		got, err := Open(t.Context(), "gsm8k", Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if got[0].Fields["at"] != path {
			t.Errorf("read %s, want %s", got[0].Fields["at"], path)
		}
	}
	if err := os.Remove(filepath.Join(dir, "gsm8k.jsonl")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "gsm8k.jsonl"), 0o755); err != nil {
		t.Fatal(err)
	}
	got, err := Open(t.Context(), "gsm8k", Options{Dir: dir})
	if err != nil || got[0].Source != filepath.Join(dir, "test.jsonl")+":1" {
		t.Errorf("a folder of the file's name hides the file: %v, %v", got, err)
	}
	// LongBench's archive, in the folder and in the cache.
	if err := os.MkdirAll(filepath.Join(cache, "datasets", "longbench"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{filepath.Join(cache, "datasets", "longbench"), dir} {
		path := filepath.Join(where, "data.zip")
		if err := os.WriteFile(path, zipped(t, "data/lcc.jsonl", twoLines), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := Open(t.Context(), "lcc", Options{Dir: dir})
		if err != nil || got[0].Source != path+"/data/lcc.jsonl:1" {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
}

// A set's file may have its name with any ending that records have.
func TestOtherEnding(t *testing.T) {
	t.Setenv("REFREEKV_CACHE", t.TempDir())
	dir := t.TempDir()
	path := filepath.Join(dir, "gsm8k.csv")
	if err := os.WriteFile(path, []byte("question,answer\nWhat is 2 + 2?,It is #### 4\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Open(t.Context(), "gsm8k", Options{Dir: dir})
	if err != nil || len(got) != 1 || got[0].Source != path+":2" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestNotFound(t *testing.T) {
	dir, env, cache := t.TempDir(), t.TempDir(), t.TempDir()
	t.Setenv("REFREEKV_CACHE", cache)
	cached := filepath.Join(cache, "datasets", "gsm8k", "test.jsonl")
	for _, c := range []struct{ dir, env, want string }{
		{"", "", "data set gsm8k is not in the cache (" + cached + "); give a folder that holds gsm8k.jsonl with --data or $REFREEKV_DATA, or fetch it with: refreekv pull dataset gsm8k"},
		{dir, "", "data set gsm8k is neither in " + dir + " (as gsm8k.jsonl or test.jsonl, or as gsm8k with the ending .jsonl, .json, .csv, .parquet) nor in the cache (" + cached + "); fetch it with: refreekv pull dataset gsm8k"},
		{"", env, "data set gsm8k is neither in " + env + " (as gsm8k.jsonl or test.jsonl, or as gsm8k with the ending .jsonl, .json, .csv, .parquet) nor in the cache (" + cached + "); fetch it with: refreekv pull dataset gsm8k"},
		{dir, dir, "data set gsm8k is neither in " + dir + " (as gsm8k.jsonl or test.jsonl, or as gsm8k with the ending .jsonl, .json, .csv, .parquet) nor in the cache (" + cached + "); fetch it with: refreekv pull dataset gsm8k"},
		{dir, env, "data set gsm8k is neither in " + dir + " nor in " + env + " (as gsm8k.jsonl or test.jsonl, or as gsm8k with the ending .jsonl, .json, .csv, .parquet) nor in the cache (" + cached + "); fetch it with: refreekv pull dataset gsm8k"},
		{dir + "/none", "", "data set gsm8k: the data folder " + dir + "/none is no folder that can be read; mend --data or $REFREEKV_DATA"},
	} {
		t.Setenv("REFREEKV_DATA", c.env)
		_, err := Open(t.Context(), "gsm8k", Options{Dir: c.dir})
		if err == nil {
			t.Fatal("found")
		}
		if diff := cmp.Diff(c.want, err.Error()); diff != "" {
			t.Errorf("(-want +got) %s", diff)
		}
	}
	t.Setenv("REFREEKV_DATA", dir)
	_, err := Open(t.Context(), "qasper", Options{})
	wantError(t, err, "qasper.jsonl or qasper.parquet or data/qasper.jsonl or data.zip", "refreekv pull dataset qasper")
}

func TestOpenErrors(t *testing.T) {
	t.Setenv("REFREEKV_DATA", "")
	t.Setenv("REFREEKV_CACHE", t.TempDir())
	for _, c := range []struct {
		name  string
		limit int
		want  string
	}{
		{"", 0, "no data set is named; refreekv list datasets shows what there is"},
		{" \t", 0, "no data set is named"},
		{"gsm9k", 0, `no data set "gsm9k": it is neither a file nor a name of refreekv list datasets; did you mean "gsm8k"?`},
		{"dir/none.jsonl", 0, `no data set "dir/none.jsonl": it is neither a file nor a name of refreekv list datasets`},
		{"gsm8k", -1, "data set gsm8k: cannot read -1 records; give a number of records, or 0 for all"},
		{"gsm8k length=3", 0, `data set gsm8k takes no options, but "length=3" was given; generated sets do`},
		{"sample_qa x", 0, `data set sample_qa takes no options, but "x" was given; generated sets do`},
	} {
		_, err := Open(t.Context(), c.name, Options{Limit: c.limit})
		wantError(t, err, c.want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, "needle", Options{}); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}

func TestRegistry(t *testing.T) {
	seen := map[string]bool{}
	for _, i := range List() {
		if seen[i.Name] || i.Name == "" || i.About == "" || i.Licence == "" || strings.ContainsAny(i.Name, " =/") {
			t.Errorf("%+v", i)
		}
		seen[i.Name] = true
		ways := 0
		for _, way := range []bool{i.URL != "", i.embedded != "", i.generate != nil} {
			if way {
				ways++
			}
		}
		if i.generate != nil && i.URL != "" { // made of a file
			ways--
		}
		if ways != 1 {
			t.Errorf("%s: there are %d ways to get it", i.Name, ways)
		}
		if i.URL != "" && (!strings.HasPrefix(i.URL, "https://") || len(i.Files) == 0) {
			t.Errorf("%s: %s as %s", i.Name, i.URL, i.Files)
		}
		for _, o := range i.options {
			if !strings.Contains(i.About, o.name) {
				t.Errorf("%s: About does not name option %s: %s", i.Name, o.name, i.About)
			}
		}
	}
	all := List()
	all[0].Name = "changed"
	if List()[0].Name == "changed" {
		t.Error("List hands out the registry itself")
	}
}
