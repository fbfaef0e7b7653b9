package runners

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// Version is the program's version as Go stamps it: a release's tag, or the commit
// that it was built from (v0.0.0-TIME-COMMIT). A build from changed files, or one that
// knows no commit, also has the first 12 digits of its own SHA-256, so that two such
// builds can be told apart: v0.0.0-TIME-COMMIT+dirty.DIGITS, devel+DIGITS.
func Version() string { return thisVersion() }

// Reading the program takes some 50 ms.
var thisVersion = sync.OnceValue(func() string {
	stamped := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		stamped = info.Main.Version
	}
	return versionOf(stamped, executable())
})

// versionOf is the version of a program in which Go stamped one (empty, "(devel)" or
// a module's version) and whose file is at path.
func versionOf(stamped, path string) string {
	separator := "+"
	switch {
	case stamped == "" || stamped == "(devel)":
		stamped = "devel"
	case strings.HasSuffix(stamped, "+dirty"):
		separator = "." // semantic versions have one plus sign
	default:
		return stamped
	}
	digest, err := fileDigest(path)
	if err != nil {
		return stamped
	}
	return stamped + separator + digest[:12]
}

// executable is the path of this program's file.
func executable() string {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe" // also where the file was replaced meanwhile
	}
	path, _ := os.Executable() // none: the version is told without its digits
	return path
}

// fileDigest is the SHA-256 of a file's content, in hexadecimal.
func fileDigest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
