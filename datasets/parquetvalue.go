package datasets

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// badTextError is the name of a column with text that is no UTF-8.
type badTextError string

func (e badTextError) Error() string { return "no valid UTF-8 in column " + string(e) }

var errBadText = errors.New("no valid UTF-8")

// decoder makes the function that turns a column's values into those of a Record,
// as JSON would hold them: dates and times become texts (2024-05-01,
// 2024-05-01T12:30:15.25Z, without the Z where the file names no time zone),
// decimals numbers; nothing is rounded. Bytes without a meaning become the text
// of those bytes. Where the library knows nothing of the meaning, written is what
// the file says of it.
func decoder(name string, t parquet.Type, written format.LogicalType) (func(parquet.Value) (any, error), error) {
	logical := t.LogicalType()
	if logical == nil && written.Value != nil {
		logical = &written
	}
	if logical != nil {
		switch l := logical.Value.(type) {
		case *format.StringType, *format.EnumType, *format.JsonType:
			return decodeText, nil
		case *format.DateType:
			return decodeDate, nil
		case *format.TimeType:
			return timeDecoder(l.Unit.Value.Duration(), "15:04:05.999999999"), nil
		case *format.TimestampType:
			layout := "2006-01-02T15:04:05.999999999"
			if l.IsAdjustedToUTC {
				layout += "Z"
			}
			return timeDecoder(l.Unit.Value.Duration(), layout), nil
		case *format.DecimalType:
			return decimalDecoder(int(l.Scale)), nil
		case *format.IntType:
			if !l.IsSigned {
				return decodeUnsigned, nil
			}
		case *format.Float16Type:
			return decodeHalf, nil
		case *format.UUIDType:
			return decodeUUID, nil
		case *format.NullType:
			return func(parquet.Value) (any, error) { return nil, nil }, nil
		default:
			return nil, fmt.Errorf("column %.60q holds values of the kind %s, which are not read; write them in another way", name, logical)
		}
	}
	if t.Kind() == parquet.Int96 {
		return nil, fmt.Errorf("column %.60q holds times of 96 bits, which are not read; write them as timestamps", name)
	}
	return decodePlain, nil
}

// decodePlain decodes a value that means no more than its type says.
func decodePlain(v parquet.Value) (any, error) {
	switch v.Kind() {
	case parquet.Boolean:
		return v.Boolean(), nil
	case parquet.Int32:
		return int64(v.Int32()), nil
	case parquet.Int64:
		return v.Int64(), nil
	case parquet.Float:
		return float64(v.Float()), nil
	case parquet.Double:
		return v.Double(), nil
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return string(v.ByteArray()), nil
	}
	return nil, fmt.Errorf("a value of the kind %s stands where another should", v.Kind())
}

func decodeText(v parquet.Value) (any, error) {
	text := string(v.ByteArray())
	if !utf8.ValidString(text) {
		return nil, errBadText
	}
	return text, nil
}

func decodeDate(v parquet.Value) (any, error) {
	return time.Unix(int64(v.Int32())*24*60*60, 0).UTC().Format(time.DateOnly), nil
}

// timeDecoder decodes a count of units since midnight or since 1970.
func timeDecoder(unit time.Duration, layout string) func(parquet.Value) (any, error) {
	return func(v parquet.Value) (any, error) {
		count := v.Int64()
		if v.Kind() == parquet.Int32 {
			count = int64(v.Int32())
		}
		perSecond := int64(time.Second / unit)
		return time.Unix(count/perSecond, count%perSecond*int64(unit)).UTC().Format(layout), nil
	}
}

// decodeUnsigned decodes a number that its type keeps as a signed one.
func decodeUnsigned(v parquet.Value) (any, error) {
	if v.Kind() == parquet.Int32 {
		return int64(uint32(v.Int32())), nil
	}
	if n := v.Int64(); n >= 0 {
		return n, nil
	}
	return json.Number(strconv.FormatUint(uint64(v.Int64()), 10)), nil
}

// decimalDecoder decodes whole numbers that count units of the scale-th digit. A
// number that a float64 does not hold exactly as written stays a json.Number.
func decimalDecoder(scale int) func(parquet.Value) (any, error) {
	return func(v parquet.Value) (any, error) {
		var n big.Int
		switch v.Kind() {
		case parquet.Int32:
			n.SetInt64(int64(v.Int32()))
		case parquet.Int64:
			n.SetInt64(v.Int64())
		default: // two's complement, the first byte first
			b := v.ByteArray()
			n.SetBytes(b)
			if len(b) > 0 && b[0] >= 0x80 {
				n.Sub(&n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
			}
		}
		text := placePoint(n.String(), scale)
		if x, err := strconv.ParseFloat(text, 64); err == nil && strconv.FormatFloat(x, 'f', -1, 64) == text {
			return x, nil
		}
		return json.Number(text), nil
	}
}

// placePoint writes a whole number's digits with the point before the last scale
// of them, without zeros at the end.
func placePoint(digits string, scale int) string {
	sign := ""
	if rest, negative := strings.CutPrefix(digits, "-"); negative {
		sign, digits = "-", rest
	}
	if scale <= 0 {
		return sign + digits
	}
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	whole, part := digits[:len(digits)-scale], strings.TrimRight(digits[len(digits)-scale:], "0")
	if part == "" {
		return sign + whole
	}
	return sign + whole + "." + part
}

// decodeHalf decodes a 16-bit float (IEEE 754, the last byte first).
func decodeHalf(v parquet.Value) (any, error) {
	b := v.ByteArray()
	if len(b) != 2 {
		return nil, fmt.Errorf("a 16-bit number has %d bytes", len(b))
	}
	bits := uint16(b[0]) | uint16(b[1])<<8
	exponent, fraction := int(bits>>10&0x1f), float64(bits&0x3ff)
	x := math.Ldexp(1024+fraction, exponent-25)
	switch {
	case exponent == 0:
		x = math.Ldexp(fraction, -24)
	case exponent == 0x1f && fraction == 0:
		x = math.Inf(1)
	case exponent == 0x1f:
		x = math.NaN()
	}
	if bits&0x8000 != 0 {
		x = -x
	}
	return x, nil
}

func decodeUUID(v parquet.Value) (any, error) {
	b := v.ByteArray()
	if len(b) != 16 {
		return nil, fmt.Errorf("a UUID has %d bytes", len(b))
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
