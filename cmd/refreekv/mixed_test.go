package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A table over rows of two builds is written only where that is asked for.
func TestReportMixed(t *testing.T) {
	dir := t.TempDir()
	run := func(limit string) {
		t.Helper()
		if _, failure := call(t, "run", killExperiment(t, "tiny-s"), "--out", dir, "--limit", limit, "--tasks", "recall"); failure != "" {
			t.Fatal(failure)
		}
	}
	run("1")
	path := filepath.Join(dir, "run.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	edited := regexp.MustCompile(`(?m)^  version: .*$`).ReplaceAllString(string(text), "  version: v0.0.1")
	if err := os.WriteFile(path, []byte(edited), 0o644); err != nil {
		t.Fatal(err)
	}
	run("2")
	for _, args := range [][]string{{"report", dir}, {"report", dir, "--format", "csv"}, {"report", dir, "--out", filepath.Join(dir, "again")}} {
		if _, failure := call(t, args...); !strings.Contains(failure, "version v0.0.1 and ") || !strings.Contains(failure, "--mixed") {
			t.Errorf("%q: %q", args, failure)
		}
		if _, failure := call(t, append(args, "--mixed")...); failure != "" {
			t.Errorf("%q --mixed: %q", args, failure)
		}
	}
}
