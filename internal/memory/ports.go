package memory

// portSpaceSize is the number of I/O ports.
const portSpaceSize = 1 << 16

// NewPortSpace returns a container for the I/O ports: where no region answers, reads give all ones and writes are lost.
func NewPortSpace(name string) *Region {
	r := NewIO(name, portSpaceSize, noPort{})
	r.Valid.Unaligned = true
	return r
}

type noPort struct{}

// Read implements Ops.
func (noPort) Read(uint64, int) uint64 { return ^uint64(0) }

// Write implements Ops.
func (noPort) Write(uint64, int, uint64) {}
