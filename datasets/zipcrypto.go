package datasets

import (
	"archive/zip"
	"compress/flate"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// encryptedFlag is the bit of a zip member's flags that tells of encryption, and
// descriptorFlag the one that tells that its checksum follows the content.
const (
	encryptedFlag  = 1 << 0
	descriptorFlag = 1 << 3
)

// decrypted opens a member under zip's traditional encryption (PKWARE's
// APPNOTE.TXT, section 6.1), which the standard library does not read. It keeps
// honest people from reading by accident, no more.
func decrypted(m *zip.File, password string) (io.ReadCloser, error) {
	var unpack func(io.Reader) io.ReadCloser
	switch m.Method {
	case zip.Store:
		unpack = io.NopCloser
	case zip.Deflate:
		unpack = flate.NewReader
	default:
		return nil, fmt.Errorf("it is encrypted or packed in a way (method %d) that is not read here; unpack it and name the file", m.Method)
	}
	raw, err := m.OpenRaw()
	if err != nil {
		return nil, err
	}
	keys := newZipKeys(password)
	content := &zipCipher{raw, keys}
	// Twelve random bytes come first; the last tells a wrong password.
	var head [12]byte
	if _, err := io.ReadFull(content, head[:]); err != nil {
		return nil, fmt.Errorf("its encryption header is cut off (%w)", err)
	}
	check := byte(m.CRC32 >> 24)
	if m.Flags&descriptorFlag != 0 {
		check = byte(m.ModifiedTime >> 8)
	}
	if head[11] != check {
		return nil, errors.New("the password is wrong")
	}
	plain := unpack(content)
	return &checked{plain, plain, crc32.NewIEEE(), m.CRC32}, nil
}

// zipKeys are the three keys of the cipher.
type zipKeys [3]uint32

func newZipKeys(password string) *zipKeys {
	k := &zipKeys{0x12345678, 0x23456789, 0x34567890}
	for _, b := range []byte(password) {
		k.update(b)
	}
	return k
}

// update mixes in a byte of the plain text.
func (k *zipKeys) update(b byte) {
	step := func(crc uint32, b byte) uint32 { return crc32.IEEETable[byte(crc)^b] ^ crc>>8 }
	k[0] = step(k[0], b)
	k[1] = (k[1]+k[0]&0xff)*134775813 + 1
	k[2] = step(k[2], byte(k[1]>>24))
}

// stream is the byte that the next one of the text is combined with.
func (k *zipKeys) stream() byte {
	t := uint16(k[2]) | 2
	return byte(uint32(t) * uint32(t^1) >> 8)
}

// zipCipher decrypts what it reads.
type zipCipher struct {
	in   io.Reader
	keys *zipKeys
}

func (c *zipCipher) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	for i := range p[:n] {
		p[i] ^= c.keys.stream()
		c.keys.update(p[i])
	}
	return n, err
}

// checked compares the checksum of what was read at its end.
type checked struct {
	io.Reader
	io.Closer
	sum  hash.Hash32
	want uint32
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && c.sum.Sum32() != c.want {
		return n, zip.ErrChecksum
	}
	return n, err
}
