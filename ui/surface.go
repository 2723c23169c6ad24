// Package ui is what is between the screens of a machine and those who look at them: a console is a screen with its surface, a
// listener shows it somewhere. A surface changes only under the machine lock.
package ui

// Surface is a picture of whole pixels, 0x00RRGGBB, line after line.
type Surface struct {
	Width, Height int
	Pix           []uint32
	// Placeholder is set while nothing has been drawn by a guest.
	Placeholder bool
}

// NewSurface returns a black surface.
func NewSurface(width, height int) *Surface {
	return &Surface{Width: width, Height: height, Pix: make([]uint32, width*height)}
}

// Row returns a line of pixels.
func (s *Surface) Row(y int) []uint32 { return s.Pix[y*s.Width : (y+1)*s.Width : (y+1)*s.Width] }

// Fill gives a rectangle one colour; what lies outside of the surface is left out.
func (s *Surface) Fill(x, y, w, h int, color uint32) {
	x0, y0, x1, y1 := max(x, 0), max(y, 0), min(x+w, s.Width), min(y+h, s.Height)
	for ; y0 < y1; y0++ {
		row := s.Row(y0)
		for i := x0; i < x1; i++ {
			row[i] = color
		}
	}
}

// Cursor is the picture of a pointer, 0xAARRGGBB, with its hot spot.
type Cursor struct {
	Width, Height, HotX, HotY int
	Pix                       []uint32
}
