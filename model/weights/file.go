package weights

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// A File is an opened set of weights: one file, or the shards of a folder.
type File struct {
	// Format is "safetensors" or "gguf".
	Format string
	// Meta is a GGUF file's metadata: string, bool, int64, uint64, float64, and
	// slices of these. It is nil for safetensors.
	Meta map[string]any

	tensors map[string]*Tensor
	maps    []mapping
	path    string // of the file that is being opened
}

// A mapping is one mapped file.
type mapping struct {
	path string
	data []byte
}

// Open opens a .gguf file, a .safetensors file, or a folder that holds
// model.safetensors.index.json and its shards or *.safetensors files.
func Open(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	f := &File{Format: "safetensors", tensors: map[string]*Tensor{}}
	if info.IsDir() {
		err = f.openFolder(path)
	} else {
		err = f.openFile(path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Tensor finds a tensor by the name the file gives it.
func (f *File) Tensor(name string) (*Tensor, bool) {
	t, ok := f.tensors[name]
	return t, ok
}

// Names lists the tensors, sorted.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.tensors)) }

// Hash is the SHA-256 over the bytes of the file, or of all shards in the order
// of their names, in hex.
func (f *File) Hash() (string, error) {
	sum := sha256.New()
	for _, m := range f.maps {
		err := reading(m.path, func() error {
			_, err := sum.Write(m.data)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	if err := f.Release(); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Release gives the memory back that bytes of the files took while they were read:
// they stay where they are, in the files and in the system's cache of them, and can
// be read again.
func (f *File) Release() error {
	var errs []error
	for _, m := range f.maps {
		if err := unix.Madvise(m.data, unix.MADV_DONTNEED); err != nil {
			errs = append(errs, fmt.Errorf("giving back the memory of %s: %w", m.path, err))
		}
	}
	return errors.Join(errs...)
}

// Close unmaps the files. Tensors must not be read afterwards.
func (f *File) Close() error {
	var errs []error
	for _, m := range f.maps {
		errs = append(errs, unix.Munmap(m.data))
	}
	f.maps, f.tensors = nil, nil
	return errors.Join(errs...)
}

func (f *File) openFolder(dir string) error {
	names, err := shards(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		err := f.openFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s: this file of the model is missing; fetch the model again", filepath.Join(dir, name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *File) openFile(path string) error {
	data, err := mapFile(path)
	if err != nil {
		return err
	}
	f.maps, f.path = append(f.maps, mapping{path, data}), path
	return reading(path, func() error {
		if err := f.readHeader(data); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
}

// readHeader enters the tensors of a file's bytes, of which there are at least 8.
func (f *File) readHeader(data []byte) error {
	if string(data[:len(ggufMagic)]) != ggufMagic {
		return f.readSafetensors(data)
	}
	if len(f.maps) > 1 {
		return errors.New("a GGUF file cannot be a shard")
	}
	f.Format = "gguf"
	return f.readGGUF(data)
}

// ReadSmall reads a whole file that stands beside weights, which nobody makes
// larger than 100 MB.
func ReadSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > mostHeader {
		return nil, fmt.Errorf("%s has %d bytes, more than %d MB are not read", path, info.Size(), mostHeader/1_000_000)
	}
	return os.ReadFile(path)
}

func mapFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	if info.Size() < 8 {
		return nil, fmt.Errorf("%s: %d bytes are neither a safetensors nor a GGUF file", path, info.Size())
	}
	data, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: %w", path, err)
	}
	return data, nil
}

// add enters a tensor whose data is the given bytes.
func (f *File) add(t *Tensor) error {
	if f.tensors[t.Name] != nil {
		return fmt.Errorf("tensor %q stands in the file twice", t.Name)
	}
	t.path = f.path
	f.tensors[t.Name] = t
	return nil
}

// A Tensor is a stored tensor of any type.
type Tensor struct {
	Name  string
	Shape []int  // outermost dimension first
	Type  string // the file's name for the type: BF16, Q4_1, …

	path  string // of its file
	codec *codec
	data  []byte
}

// Rows is the product of all dimensions but the last.
func (t *Tensor) Rows() int {
	rows := 1
	for _, n := range t.Shape[:max(len(t.Shape)-1, 0)] {
		rows *= n
	}
	return rows
}

// Cols is the last dimension.
func (t *Tensor) Cols() int {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[len(t.Shape)-1]
}

// Supported reports whether the tensor's type can be read.
func (t *Tensor) Supported() error {
	if t.codec == nil || t.codec.read == nil {
		return fmt.Errorf("tensor %s has type %s; supported: %s", t.Name, t.Type, supportedTypes)
	}
	return nil
}

// Read turns rows [row, row+rows) into float32: dst is [rows][Cols]. The tensor
// must be Supported. It fails where the file was cut short since it was opened.
func (t *Tensor) Read(dst []float32, row, rows int) error {
	size := t.Cols() / t.codec.values * t.codec.bytes
	return reading(t.path, func() error {
		t.codec.read(dst[:rows*t.Cols()], t.data[row*size:(row+rows)*size])
		return nil
	})
}

// elements multiplies a shape's dimensions, refusing what does not fit.
func elements(shape []int) (int, error) {
	n := uint64(1)
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("dimension %d is negative", d)
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > 1<<48 {
			return 0, fmt.Errorf("shape %v is too large", shape)
		}
		n = lo
	}
	return int(n), nil
}
