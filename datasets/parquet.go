package datasets

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

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
	fields, err := parquetFields(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.path, err)
	}
	if len(fields) == 0 {
		return nil, in.damaged("Parquet", errors.New("it has no column"))
	}
	unpacked, number := int64(0), 0
	for _, group := range file.RowGroups() {
		if in.full(out) {
			break
		}
		if group.NumRows() == 0 {
			continue
		}
		err := in.rowGroup(group, func(row parquet.Row) (more bool, err error) {
			source := fmt.Sprintf("%s#%d", in.path, number)
			number++
			record, err := assemble(fields, row)
			if bad := (badTextError)(""); errors.As(err, &bad) {
				return true, in.skipped.refuse(fmt.Errorf("%s: column %.60q is no valid UTF-8; make the file again", source, string(bad)))
			}
			if err != nil {
				return false, in.damaged("Parquet", err)
			}
			if unpacked += weight(record); unpacked > in.mostBytes {
				return false, fmt.Errorf("%s: there are more than %d MB in it; split it into several files", source, in.mostBytes>>20)
			}
			out, err = in.add(out, raw{record, source})
			return !in.full(out), err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// rowGroup calls each with the rows of a group until it wants no more.
func (in input) rowGroup(group parquet.RowGroup, each func(parquet.Row) (more bool, err error)) error {
	rows := group.Rows()
	defer rows.Close()
	batch := make([]parquet.Row, 64)
	for {
		n, err := rows.ReadRows(batch)
		for _, row := range batch[:n] {
			more, err := each(row)
			if err != nil || !more {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return in.damaged("Parquet", err)
		case n == 0:
			return in.damaged("Parquet", io.ErrNoProgress)
		}
	}
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

// A parquetField is a column, or a group of columns, and how the values of its
// columns become one value (Dremel's repetition and definition levels).
type parquetField struct {
	name        string
	first, last int // its columns, last not among them
	optional    bool
	repeated    bool // a list of values
	definition  int  // the level from which on it is there
	repetition  int  // the level of a further item of a repeated one
	fields      []parquetField
	kind        groupKind
	decode      func(parquet.Value) (any, error) // of a column
}

type groupKind int

const (
	objectGroup groupKind = iota
	listGroup             // a list wrapped in Parquet's way: the items are what its only field holds
	mapGroup              // likewise, of keys and values
)

// parquetFields are the fields of a record.
func parquetFields(file *parquet.File) ([]parquetField, error) {
	var leaves []format.SchemaElement
	for _, e := range file.Metadata().Schema {
		if e.Type.Valid {
			leaves = append(leaves, e)
		}
	}
	column := 0
	return childFields(file.Schema(), parquetField{}, leaves, &column)
}

func childFields(node parquet.Node, parent parquetField, leaves []format.SchemaElement, column *int) ([]parquetField, error) {
	var out []parquetField
	for _, child := range node.Fields() {
		f, err := newParquetField(child, parent, leaves, column)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o parquetField) bool { return o.name == f.name }) {
			return nil, fmt.Errorf("column %.60q stands in the file twice; rename one", f.name)
		}
		out = append(out, f)
	}
	return out, nil
}

func newParquetField(node parquet.Field, parent parquetField, leaves []format.SchemaElement, column *int) (f parquetField, err error) {
	f = parquetField{
		name: node.Name(), first: *column, optional: node.Optional(), repeated: node.Repeated(),
		definition: parent.definition, repetition: parent.repetition,
	}
	if f.optional || f.repeated {
		f.definition++
	}
	if f.repeated {
		f.repetition++
	}
	if node.Leaf() {
		*column++
		f.last = *column
		f.decode, err = decoder(f.name, node.Type(), leaves[f.first].LogicalType)
		return f, err
	}
	if f.fields, err = childFields(node, f, leaves, column); err != nil {
		return f, err
	}
	if len(f.fields) == 0 {
		return f, fmt.Errorf("column %.60q is a group without columns; make the file again", f.name)
	}
	f.last = *column
	f.kind = kindOf(node, f.fields)
	return f, nil
}

// assemble makes a record of a row.
func assemble(fields []parquetField, row parquet.Row) (map[string]any, error) {
	a := assembly{columns: make([][]parquet.Value, fields[len(fields)-1].last)}
	row.Range(func(column int, values []parquet.Value) bool {
		if column < len(a.columns) {
			a.columns[column] = values
		}
		return true
	})
	record := make(map[string]any, len(fields))
	for _, f := range fields {
		value, err := a.value(f)
		if errors.Is(err, errBadText) {
			err = badTextError(f.name)
		}
		if err != nil {
			return nil, err
		}
		record[f.name] = value
	}
	for _, rest := range a.columns {
		if len(rest) > 0 {
			return nil, errors.New("a column holds too many values")
		}
	}
	return record, nil
}

// An assembly takes the values of a row, column by column.
type assembly struct {
	columns [][]parquet.Value
	err     error
}

// next is the column's next value; take consumes it.
func (a *assembly) next(column int) (v parquet.Value) {
	if len(a.columns[column]) == 0 {
		a.err = errShortColumn
		return v
	}
	return a.columns[column][0]
}

func (a *assembly) take(first, last int) {
	for c := first; c < last; c++ {
		if len(a.columns[c]) == 0 {
			a.err = errShortColumn
			return
		}
		a.columns[c] = a.columns[c][1:]
	}
}

var errShortColumn = errors.New("a column holds too few values")

// value reads a field: nil where it is not there, a list where it is repeated.
func (a *assembly) value(f parquetField) (any, error) {
	if !f.optional && !f.repeated {
		return a.one(f)
	}
	missing := a.next(f.first).DefinitionLevel() < f.definition
	if missing {
		a.take(f.first, f.last)
	}
	switch {
	case a.err != nil:
		return nil, a.err
	case missing && f.repeated:
		return []any{}, nil
	case missing:
		return nil, nil
	case f.optional:
		return a.one(f)
	}
	var list []any
	for {
		item, err := a.one(f)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
		if rest := a.columns[f.first]; len(rest) == 0 || rest[0].RepetitionLevel() != f.repetition {
			return list, nil
		}
	}
}

// one reads a field that is there, or an item of a repeated one.
func (a *assembly) one(f parquetField) (any, error) {
	if f.decode != nil {
		v := a.next(f.first)
		a.take(f.first, f.last)
		if a.err != nil {
			return nil, a.err
		}
		return f.decode(v)
	}
	switch f.kind {
	case listGroup:
		items := f.fields[0]
		if items.fields == nil || items.kind != objectGroup || !wrapsItem(f.name, items) {
			return a.value(items)
		}
		// Each item is wrapped in a group of its own.
		list, err := a.value(items)
		if err != nil {
			return nil, err
		}
		for i, item := range list.([]any) {
			list.([]any)[i] = item.(map[string]any)[items.fields[0].name]
		}
		return list, nil
	case mapGroup:
		return a.pairs(f.fields[0])
	}
	object := make(map[string]any, len(f.fields))
	for _, child := range f.fields {
		value, err := a.value(child)
		if err != nil {
			return nil, err
		}
		object[child.name] = value
	}
	return object, nil
}

// pairs reads a map; of two values for a key the last one counts.
func (a *assembly) pairs(f parquetField) (any, error) {
	list, err := a.value(f)
	if err != nil {
		return nil, err
	}
	object := map[string]any{}
	for _, item := range list.([]any) {
		pair := item.(map[string]any)
		object[fmt.Sprint(pair[f.fields[0].name])] = pair[f.fields[1].name]
	}
	return object, nil
}

// kindOf tells lists and maps, which Parquet wraps in groups, from objects.
func kindOf(node parquet.Node, fields []parquetField) groupKind {
	logical := node.Type().LogicalType()
	if logical == nil || len(fields) != 1 || !fields[0].repeated {
		return objectGroup
	}
	switch logical.String() {
	case "LIST":
		return listGroup
	case "MAP":
		if len(fields[0].fields) == 2 {
			return mapGroup
		}
	}
	return objectGroup
}

// wrapsItem tells whether a list's repeated group wraps the item, or is the item
// itself, as older writers had it (Parquet's LogicalTypes.md, lists, backward
// compatibility).
func wrapsItem(list string, items parquetField) bool {
	return len(items.fields) == 1 && items.name != "array" && items.name != list+"_tuple"
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
