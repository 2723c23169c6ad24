package vnc

import "math/bits"

// cell is the width in pixels of what a bit of a region stands for; its height is one line.
const cell = 16

// region is a set of cells of a picture.
type region struct {
	width, height, words int
	bits                 []uint64
}

func newRegion(width, height int) region {
	words := ((width+cell-1)/cell + 63) / 64
	return region{width, height, words, make([]uint64, words*height)}
}

// add adds the cells that a rectangle touches; what lies outside of the picture is left out.
func (r *region) add(x, y, w, h int) {
	x1, y1 := min(x+w, r.width), min(y+h, r.height)
	x, y = max(x, 0), max(y, 0)
	if x >= x1 {
		return
	}
	for ; y < y1; y++ {
		row := r.bits[y*r.words : (y+1)*r.words]
		for c := x / cell; c <= (x1-1)/cell; c++ {
			row[c>>6] |= 1 << (c & 63)
		}
	}
}

func (r *region) has(c, y int) bool { return r.bits[y*r.words+c>>6]>>(c&63)&1 != 0 }

func (r *region) empty() bool {
	for _, w := range r.bits {
		if w != 0 {
			return false
		}
	}
	return true
}

// take removes the cells as rectangles of pixels and calls f for each of them, at most limit; the rest stays.
func (r *region) take(limit int, f func(x, y, w, h int)) {
	for y := 0; y < r.height && limit > 0; y++ {
		for i := 0; i < r.words && limit > 0; {
			w := r.bits[y*r.words+i]
			if w == 0 {
				i++
				continue
			}
			first := i*64 + bits.TrailingZeros64(w)
			end := first
			for end < (r.width+cell-1)/cell && r.has(end, y) {
				end++
			}
			last := y
			for last < r.height && r.clearRow(first, end, last) {
				last++
			}
			f(first*cell, y, min(end*cell, r.width)-first*cell, last-y)
			limit--
		}
	}
}

// clearRow removes cells of a line if all of them are there.
func (r *region) clearRow(first, end, y int) bool {
	for c := first; c < end; c++ {
		if !r.has(c, y) {
			return false
		}
	}
	for c := first; c < end; c++ {
		r.bits[y*r.words+c>>6] &^= 1 << (c & 63)
	}
	return true
}
