package tokenizer

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// pythonMethods are the library's methods of values, with those of strings that
// it has wrong done as Python does them.
func pythonMethods() exec.Methods {
	str := map[string]exec.Method[string]{
		"strip":   stripMethod(strings.TrimFunc),
		"lstrip":  stripMethod(strings.TrimLeftFunc),
		"rstrip":  stripMethod(strings.TrimRightFunc),
		"split":   splitMethod,
		"replace": replaceMethod,
		"count":   countMethod,
	}
	for _, name := range []string{
		"capitalize", "casefold", "endswith", "find", "format", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "islower", "isnumeric",
		"isspace", "istitle", "isupper", "join", "lower", "partition", "removeprefix", "removesuffix", "rfind", "rpartition", "rsplit",
		"splitlines", "startswith", "swapcase", "title", "upper", "zfill",
	} {
		if m, ok := builtins.Methods.Str.Get(name); ok {
			str[name] = m
		}
	}
	methods := builtins.Methods
	methods.Str = exec.NewMethodSet(str)
	return methods
}

// pythonSpace is what Python's str.isspace and strip take for white space.
func pythonSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1C && r <= 0x1F }

// trim is the filter of that name: strip, of any value's text.
func trim(_ *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	out, err := stripMethod(strings.TrimFunc)(in.String(), in, params)
	if err != nil {
		return exec.AsValue(err)
	}
	return exec.AsValue(out)
}

func stripMethod(cut func(string, func(rune) bool) string) exec.Method[string] {
	return func(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
		chars, given, err := optionalText(args, "chars")
		if err != nil {
			return nil, err
		}
		if !given {
			return cut(self, pythonSpace), nil
		}
		return cut(self, func(r rune) bool { return strings.ContainsRune(chars, r) }), nil
	}
}

// splitMethod splits at white space, or at a text, which may not be empty.
func splitMethod(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
	most := -1
	if n := len(args.Args); n == 2 && args.Args[1].IsInteger() {
		most = args.Args[1].Integer()
		args = &exec.VarArgs{Args: args.Args[:1], KwArgs: args.KwArgs}
	}
	sep, given, err := optionalText(args, "sep")
	switch {
	case err != nil:
		return nil, err
	case given && sep == "":
		return nil, exec.ErrInvalidCall(errors.New("split: the separator is empty"))
	case given && most >= 0:
		return strings.SplitN(self, sep, most+1), nil
	case given:
		return strings.Split(self, sep), nil
	case most >= 0:
		return nil, exec.ErrInvalidCall(errors.New("split at white space takes no limit here"))
	}
	return strings.FieldsFunc(self, pythonSpace), nil
}

// replaceMethod replaces every occurrence, or the first ones.
func replaceMethod(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
	n := -1
	switch {
	case len(args.KwArgs) > 0, len(args.Args) < 2, len(args.Args) > 3, !args.Args[0].IsString(), !args.Args[1].IsString():
		return nil, exec.ErrInvalidCall(errors.New("replace takes two texts and a count"))
	case len(args.Args) == 3 && !args.Args[2].IsInteger():
		return nil, exec.ErrInvalidCall(errors.New("replace: the count is no integer"))
	case len(args.Args) == 3:
		n = args.Args[2].Integer()
	}
	return strings.Replace(self, args.Args[0].String(), args.Args[1].String(), n), nil
}

func countMethod(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
	sub, given, err := optionalText(args, "sub")
	if err == nil && !given {
		err = exec.ErrInvalidCall(errors.New("count takes a text"))
	}
	return strings.Count(self, sub), err
}

// optionalText is the only argument of a method: a text, none, or left out.
func optionalText(args *exec.VarArgs, name string) (text string, given bool, err error) {
	all := append([]*exec.Value(nil), args.Args...)
	for key, v := range args.KwArgs {
		if key != name {
			return "", false, exec.ErrInvalidCall(fmt.Errorf("unknown argument %s", key))
		}
		all = append(all, v)
	}
	switch {
	case len(all) == 0, len(all) == 1 && all[0].IsNil():
		return "", false, nil
	case len(all) == 1 && all[0].IsString():
		return all[0].String(), true, nil
	}
	return "", false, exec.ErrInvalidCall(fmt.Errorf("%s is no text", name))
}
