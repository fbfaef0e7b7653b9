package datasets

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// zip reads the member that is wanted, or the only set of records: one file, or
// the shards of one.
func (in input) zip(f io.ReaderAt, size int64) ([]raw, error) {
	z, err := zip.NewReader(f, size)
	if err != nil {
		return nil, in.damaged("zip", err)
	}
	var files, found []*zip.File
	for _, m := range z.File {
		if m.Mode()&(fs.ModeDir|fs.ModeSymlink) != 0 {
			continue
		}
		files = append(files, m)
		if in.member != "" && path.Base(m.Name) == in.member || in.member == "" && isRecordFile(m.Name) {
			found = append(found, m)
		}
	}
	if len(found) == 0 && in.member == "" && len(files) == 1 {
		found = files // whatever its name, its content may be records
	}
	switch {
	case len(found) == 0 && in.member != "":
		return nil, fmt.Errorf("%s holds no file %s; fetch it again, or give a folder that holds %s", in.path, in.member, in.member)
	case len(found) == 0:
		return nil, fmt.Errorf("%s holds no file of records (%s); unpack it and name the file with the records", in.path, strings.Join(recordEndings, ", "))
	case len(found) > 1 && !areShards(found):
		return nil, fmt.Errorf("%s holds %d files of records; unpack it and name one", in.path, len(found))
	}
	return in.each(len(found), func(part input, k int) ([]raw, error) { return part.zipMember(found[k]) })
}

// areShards tells whether files are all the shards of one set, and sorts them.
func areShards(files []*zip.File) bool {
	slices.SortFunc(files, func(a, b *zip.File) int { return strings.Compare(a.Name, b.Name) })
	names, stem := make(group, len(files)), ""
	for i, f := range files {
		m := shardName.FindStringSubmatch(f.Name)
		if m == nil || stem != "" && m[1] != stem {
			return false
		}
		names[i], stem = f.Name, m[1]
	}
	_, err := names.complete()
	return err == nil
}

func (in input) zipMember(m *zip.File) ([]raw, error) {
	in.path += "/" + printable(m.Name)
	open := m.Open
	if m.Flags&encryptedFlag != 0 {
		if in.password == "" {
			return nil, fmt.Errorf("%s is encrypted; unpack it and name the file", in.path)
		}
		open = func() (io.ReadCloser, error) { return decrypted(m, in.password) }
	}
	content, err := open()
	if err != nil {
		return nil, in.damaged("zip", err)
	}
	defer content.Close()
	return in.unpacked(content)
}
