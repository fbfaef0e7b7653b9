package tokenizer

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// doubled is a template that doubles a value 60 times and then uses it.
func doubled(begin, twice, use string) string {
	return "{% set n = namespace(x=" + begin + ") %}{% for i in range(60) %}{% set n.x = " + twice + " %}{% endfor %}{{ " + use + " }}"
}

// What a hostile template may try ends in one line of error, with bounded memory,
// and the next template is rendered as ever.
func TestHostileTemplates(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	const tooLong = "it takes more than 1s of computing"
	const limit = "it takes more than 256 MB of memory|" + tooLong // whichever a busy machine reaches first
	for name, c := range map[string]struct{ source, want string }{
		"empty loops":                 {"{% for a in range(999999) %}{% for b in range(999999) %}{% endfor %}{% endfor %}", limit},
		"small loops":                 {strings.Repeat("{% for a in range(900) %}", 5) + strings.Repeat("{% endfor %}", 5), tooLong},
		"macros that call macros":     {"{% macro f(n) %}{% for i in range(9) %}{{ f(n + 1) }}{% endfor %}{% endmacro %}{{ f(0) }}", tooLong + "|calls nest more than"},
		"range(10**9)":                {"{% for i in range(10**9) %}{% endfor %}", "range takes integers"},
		"a long range":                {"{% for i in range(1000000000) %}{% endfor %}", "range of more than"},
		"a text doubled":              {doubled("'x'", "n.x ~ n.x", "n.x | length"), limit},
		"a text doubled with +":       {doubled("'x'", "n.x + n.x", "n.x | length"), limit},
		"a text repeated":             {"{{ ('x' * 100000000000) | length }}", limit},
		"a text repeated repeatedly":  {"{{ ('x' * 10000 * 10000 * 10000) | length }}", limit},
		"a text repeated beyond":      {"{{ 'xxxxxxxx' * 9000000000000000000 }}", "template library failed"},
		"a text centred":              {"{{ 'x' | center(100000000000) | length }}", limit},
		"a text of zeros":             {"{{ 'x'.zfill(100000000000) | length }}", limit},
		"a list doubled":              {doubled("[1]", "n.x + n.x", "n.x | length"), limit},
		"a list of itself twice":      {doubled("[1]", "[n.x, n.x]", "n.x"), limit},
		"a list that holds itself":    {"{% set a = [] %}{% do a.append(a) %}{{ a }}", ""},
		"a dict that holds itself":    {"{% set a = {} %}{% do a.update({'a': a}) %}{{ a | tojson }}", ""},
		"a file, included":            {"{% include '" + secret + "' %}", "include"},
		"a file, imported":            {"{% import '" + secret + "' as x %}{{ x }}", "import"},
		"a file, from which imported": {"{% from '" + secret + "' import x %}", "from"},
		"a file, extended":            {"{% extends '" + secret + "' %}", "extends"},
		"attributes of Python":        {"{{ ''.__class__.__mro__[1].__subclasses__() }}", "_"},
		"attributes of Go":            {"{{ self.Renderer.Loader.Read('" + secret + "') }}", "None"},
	} {
		t.Run(name, func(t *testing.T) {
			tok := &Tokenizer{chat: newChat(c.source, nil)}
			out, err := tok.Chat([]Message{{"user", "hi"}}, true)
			if strings.Contains(out, "secret") {
				t.Errorf("it reads a file: %q", out)
			}
			if c.want == "" { // may be right or wrong, but must end
				return
			}
			if err == nil {
				t.Fatalf("rendered as %.80q", out)
			}
			found := false
			for want := range strings.SplitSeq(c.want, "|") {
				found = found || strings.Contains(err.Error(), want)
			}
			if !found || strings.Contains(err.Error(), "\n") || len(err.Error()) > 1000 || !strings.HasPrefix(err.Error(), "rendering the model's chat template: ") {
				t.Errorf("error %.1000q, want one line that says %q", err, c.want)
			}
		})
	}
	tok := &Tokenizer{chat: newChat("{{ messages[0].content }}", nil)}
	if got, err := tok.Chat([]Message{{"user", "hi"}}, true); got != "hi" || err != nil {
		t.Errorf("afterwards: %q, %v", got, err)
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
		t.Fatal(err)
	}
	t.Logf("the largest process that rendered took %d MB", u.Maxrss>>10)
	if u.Maxrss > shadowMemory<<20 {
		t.Errorf("a process that rendered took %d MB", u.Maxrss>>10)
	}
}
