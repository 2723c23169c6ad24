package ui

import (
	"bufio"
	"fmt"
	"image"
	"image/png"
	"io"
)

// Copy returns a surface of its own with the same picture.
func (s *Surface) Copy() *Surface {
	c := NewSurface(s.Width, s.Height)
	copy(c.Pix, s.Pix)
	return c
}

// WritePPM writes the picture as a portable pixmap.
func (s *Surface) WritePPM(w io.Writer) error {
	b := bufio.NewWriterSize(w, 1<<16)
	fmt.Fprintf(b, "P6\n%d %d\n%d\n", s.Width, s.Height, 255)
	for _, p := range s.Pix {
		_, _ = b.Write([]byte{uint8(p >> 16), uint8(p >> 8), uint8(p)}) // Flush gives the error
	}
	return b.Flush()
}

// WritePNG writes the picture as PNG.
func (s *Surface) WritePNG(w io.Writer) error {
	img := image.NewNRGBA(image.Rect(0, 0, s.Width, s.Height))
	for i, p := range s.Pix {
		copy(img.Pix[4*i:], []byte{uint8(p >> 16), uint8(p >> 8), uint8(p), 0xff})
	}
	return png.Encode(w, img)
}
