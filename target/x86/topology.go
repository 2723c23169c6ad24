package x86

import "math/bits"

// APICID is the APIC identifier of CPU number n: thread, core, die and socket in bit fields just wide enough each (Intel SDM volume 3,
// section 9.9).
func (t Topology) APICID(n int) uint32 {
	id, shift := 0, 0
	for _, size := range [...]int{max(t.Threads, 1), max(t.Cores, 1), max(t.Dies, 1)} {
		id |= n % size << shift
		shift += bits.Len(uint(size - 1))
		n /= size
	}
	return uint32(id | n<<shift)
}

// Place is where a CPU is: the number of its thread in the core, of the core in the die, of the die in the socket, and of the socket.
type Place struct{ Socket, Die, Core, Thread int }

// Place is where CPU number n is.
func (t Topology) Place(n int) Place {
	threads, cores, dies := max(t.Threads, 1), max(t.Cores, 1), max(t.Dies, 1)
	return Place{Thread: n % threads, Core: n / threads % cores, Die: n / (threads * cores) % dies, Socket: n / (threads * cores * dies)}
}

// Index is the number of the CPU at a place.
func (t Topology) Index(p Place) int {
	return ((p.Socket*max(t.Dies, 1)+p.Die)*max(t.Cores, 1)+p.Core)*max(t.Threads, 1) + p.Thread
}

// PlaceOf is where the CPU with an APIC identifier would be. It need not be in the topology.
func (t Topology) PlaceOf(id uint32) (p Place) {
	for _, f := range [...]struct {
		n    *int
		size int
	}{{&p.Thread, t.Threads}, {&p.Core, t.Cores}, {&p.Die, t.Dies}} {
		w := bits.Len(uint(max(f.size, 1) - 1))
		*f.n = int(id & (1<<w - 1))
		id >>= w
	}
	p.Socket = int(id)
	return p
}
