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
