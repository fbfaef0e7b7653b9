package runners

import (
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A stamped build is told by its stamp alone; all others by their content too.
func TestVersionOf(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	write(t, one, "a program")
	write(t, two, "another program")
	const pseudo = "v0.0.0-20261127171551-bf05b7ce8327"
	for _, c := range []struct{ stamped, path, want string }{
		{"v1.2.3", one, "v1.2.3"},
		{pseudo, one, pseudo},
		{pseudo + "+dirty", one, pseudo + "+dirty.d69ea8cda243"},
		{pseudo + "+dirty", two, pseudo + "+dirty.60f787c0cff5"},
		{"(devel)", one, "devel+d69ea8cda243"},
		{"(devel)", two, "devel+60f787c0cff5"},
		{"", two, "devel+60f787c0cff5"},
		{"(devel)", filepath.Join(dir, "none"), "devel"},
	} {
		if diff := cmp.Diff(c.want, versionOf(c.stamped, c.path)); diff != "" {
			t.Errorf("%q, %s (-want +got):\n%s", c.stamped, filepath.Base(c.path), diff)
		}
	}
}

// This program has a version that tells it apart, the same in every call.
func TestVersion(t *testing.T) {
	want := regexp.MustCompile(`^((devel\+|v.*\+dirty\.)[0-9a-f]{12}|v[^+]*)$`)
	if got := Version(); !want.MatchString(got) || got != Version() {
		t.Errorf("version %q", got)
	}
}
