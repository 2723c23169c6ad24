package vnc

// Sizes of a palette: its colours and the slots in which they are found.
const (
	paletteColors = 256
	paletteBits   = 10
	paletteHash   = 0x9e3779b1
)

// palette numbers the colours of pixels in the order in which they appear.
type palette struct {
	colors  []uint32
	numbers []byte // of the pixels
	slots   [1 << paletteBits]uint16
}

// index numbers the colours of pixels; false if there are more than limit, which is at most paletteColors.
func (p *palette) index(pix []uint32, limit int) bool {
	for _, c := range p.colors {
		for at := c * paletteHash >> (32 - paletteBits); p.slots[at] != 0; at = (at + 1) % uint32(len(p.slots)) {
			p.slots[at] = 0
		}
	}
	p.colors, p.numbers = p.colors[:0], p.numbers[:0]
	var last uint32
	var number byte
	for i, c := range pix {
		if i == 0 || c != last {
			n, ok := p.number(c, limit)
			if !ok {
				return false
			}
			last, number = c, n
		}
		p.numbers = append(p.numbers, number)
	}
	return true
}

// number is a colour's number, a new one if it was not there.
func (p *palette) number(c uint32, limit int) (n byte, ok bool) {
	at := c * paletteHash >> (32 - paletteBits)
	for ; p.slots[at] != 0; at = (at + 1) % uint32(len(p.slots)) {
		if n := p.slots[at] - 1; p.colors[n] == c {
			return byte(n), true
		}
	}
	if len(p.colors) == limit {
		return 0, false
	}
	p.colors = append(p.colors, c)
	p.slots[at] = uint16(len(p.colors))
	return byte(len(p.colors) - 1), true
}

// mostFrequent is the number of the colour that most pixels have.
func (p *palette) mostFrequent() int {
	var counts [paletteColors]int
	for _, n := range p.numbers {
		counts[n]++
	}
	most := 0
	for n := range p.colors {
		if counts[n] > counts[most] {
			most = n
		}
	}
	return most
}
