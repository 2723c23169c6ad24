package vga

// chip is what a Super VGA's chip does differently from the standard VGA when a picture is drawn.
type chip interface {
	// bpp is the number of bits of a pixel, 0 in the VGA's own modes.
	bpp() int
	resolution() (width, height int)
	// layout is where the picture lies in video memory: bytes per line, first group of 4 bytes, line from which memory is shown from its
	// start.
	layout() (line, start, split uint32)
	// private tells whether something is shown that does not lie in the picture's memory, so that lines have to be drawn.
	private() bool
	// moved tells which lines have to be drawn again although their memory has not changed: [from, to) twice, where the cursor was and is.
	moved() (lines [2][2]int)
	// overlay draws over a line.
	overlay(d []uint32, y int)
}
