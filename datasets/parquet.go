package datasets

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"reflect"
	"strconv"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// parquet reads a Parquet file as Hugging Face lays data sets out.
func (in input) parquet(f io.ReaderAt, size int64) (out []raw, err error) {
	defer func() {
		if r := recover(); r != nil { // damaged files can make the library panic
			out, err = nil, in.damaged("Parquet", fmt.Errorf("%v", r))
		}
	}()
	if err := checkFooter(f, size); err != nil {
		return nil, in.damaged("Parquet", err)
	}
	file, err := parquet.OpenFile(f, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, in.damaged("Parquet", err)
	}
	if file.NumRows() == 0 {
		return nil, nil
	}
	texts, unsigned := columns(file.Schema())
	reader := parquet.NewGenericReader[map[string]any](file, file.Schema())
	defer reader.Close()
	batch := make([]map[string]any, 64)
	unpacked := int64(0)
	for !in.full(out) {
		for i := range batch {
			batch[i] = map[string]any{}
		}
		n, err := reader.Read(batch)
		for _, fields := range batch[:n] {
			if in.full(out) {
				break
			}
			source := fmt.Sprintf("%s#%d", in.path, len(out))
			for name, value := range fields {
				value = plain(value)
				if texts[name] && !validTexts(value) {
					return nil, fmt.Errorf("%s: column %.60q is no valid UTF-8; make the file again", source, name)
				}
				if n, ok := value.(int64); ok && n < 0 && unsigned[name] {
					value = json.Number(strconv.FormatUint(uint64(n), 10))
				}
				unpacked += weight(value)
				fields[name] = value
			}
			if unpacked > in.mostBytes {
				return nil, fmt.Errorf("%s: there are more than %d MB in it; split it into several files", source, in.mostBytes>>20)
			}
			var full error
			if out, full = in.add(out, raw{fields, source}); full != nil {
				return nil, full
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, in.damaged("Parquet", err)
		}
		if n == 0 {
			return nil, in.damaged("Parquet", io.ErrNoProgress)
		}
	}
	return out, nil
}

// mostFooter bounds a file's footer. The library reads nested values of it by
// recursion; a longer footer of nothing but those would exhaust the stack.
const mostFooter = 2 << 20

// checkFooter reads the footer's length, which stands before the last four bytes.
func checkFooter(f io.ReaderAt, size int64) error {
	var end [8]byte
	if size < int64(len(end)) {
		return io.ErrUnexpectedEOF
	}
	if _, err := f.ReadAt(end[:], size-int64(len(end))); err != nil {
		return err
	}
	if n := binary.LittleEndian.Uint32(end[:]); n > mostFooter {
		return fmt.Errorf("its footer claims to be %d bytes long", n)
	}
	return nil
}

// columns names the columns that hold nothing but text, and those of unsigned
// 64-bit numbers, which the library gives as signed ones.
func columns(schema *parquet.Schema) (texts, unsigned map[string]bool) {
	texts, unsigned = map[string]bool{}, map[string]bool{}
	for _, field := range schema.Fields() {
		texts[field.Name()] = isText(field)
		if field.Leaf() && field.Type().LogicalType() != nil {
			kind, ok := field.Type().LogicalType().Value.(*format.IntType)
			unsigned[field.Name()] = ok && kind.BitWidth == 64 && !kind.IsSigned
		}
	}
	return texts, unsigned
}

func isText(node parquet.Node) bool {
	if node.Leaf() {
		logical := node.Type().LogicalType()
		if logical == nil {
			return false
		}
		_, ok := logical.Value.(*format.StringType)
		return ok
	}
	for _, field := range node.Fields() {
		if !isText(field) {
			return false
		}
	}
	return true
}

func validTexts(v any) bool {
	switch v := v.(type) {
	case string:
		return utf8.ValidString(v)
	case []any:
		for _, item := range v {
			if !validTexts(item) {
				return false
			}
		}
	case map[string]any:
		for _, item := range v {
			if !validTexts(item) {
				return false
			}
		}
	}
	return true
}

// weight is about how many bytes a value takes.
func weight(v any) int64 {
	n := int64(16)
	switch v := v.(type) {
	case string:
		n += int64(len(v))
	case []any:
		for _, item := range v {
			n += weight(item)
		}
	case map[string]any:
		for name, item := range v {
			n += int64(len(name)) + weight(item)
		}
	}
	return n
}

// plain turns what the Parquet reader gives into the types of a Record.
func plain(v any) any {
	switch v := v.(type) {
	case nil, bool, int64, float64, string:
		return v
	case []byte:
		return string(v)
	case *big.Float: // a decimal
		x, _ := v.Float64()
		return x
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = plain(item)
		}
		return out
	case map[string]any:
		for name, value := range v {
			v[name] = plain(value)
		}
		return v
	}
	return plainKind(reflect.ValueOf(v))
}

// plainKind is plain for the smaller numbers, and for pointers, which the values
// of a map column are.
func plainKind(v reflect.Value) any {
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return nil
	case v.Kind() == reflect.Pointer:
		return plain(v.Elem().Interface())
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return int64(v.Uint())
	case v.CanFloat():
		return v.Float()
	}
	return fmt.Sprint(v.Interface())
}
