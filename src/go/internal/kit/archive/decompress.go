package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxZstdWindow bounds the memory that a zstd frame may ask for (RFC 8878
// recommends that decoders take at least 8 MiB; --long=27 needs 128 MiB).
const maxZstdWindow = 128 << 20

// codec is one compression format, known by its first bytes.
type codec struct {
	name  string
	magic []byte
	open  func(io.Reader) (io.ReadCloser, error)
}

var codecs = []codec{
	{"gzip", []byte{0x1f, 0x8b}, func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
	{"bzip2", []byte("BZh"), func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(bzip2.NewReader(r)), nil }},
	{"xz", []byte{0xfd, '7', 'z', 'X', 'Z', 0}, func(r io.Reader) (io.ReadCloser, error) {
		z, err := xz.NewReader(r)
		return io.NopCloser(z), err
	}},
	{"zstd", []byte{0x28, 0xb5, 0x2f, 0xfd}, func(r io.Reader) (io.ReadCloser, error) {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}},
}

// Decompress returns the uncompressed form of r, which is gzip, bzip2, xz or
// zstd by its first bytes, or is passed on as it is. Closing the result does
// not close r.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(6)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read the first bytes of the archive: %w", err)
	}
	for _, c := range codecs {
		if !bytes.HasPrefix(head, c.magic) {
			continue
		}
		z, err := c.open(b)
		if err != nil {
			return nil, fmt.Errorf("%s data: %w", c.name, err)
		}
		return &decompressor{ReadCloser: z, name: c.name}, nil
	}
	return io.NopCloser(b), nil
}

// decompressor puts the format's name into read errors.
type decompressor struct {
	io.ReadCloser
	name string
}

func (d *decompressor) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s data: %w", d.name, err)
	}
	return n, err
}
