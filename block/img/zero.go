package img

import "bytes"

// SectorSize is the unit in which content is looked at.
const SectorSize = 512

// bufferSize is the size of ordinary requests.
const bufferSize = 2 << 20

var zeroes [64 << 10]byte

// isZero tells whether b has only zero bytes.
func isZero(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if b[0] != 0 || b[len(b)-1] != 0 || b[len(b)/2] != 0 {
		return false
	}
	for len(b) > len(zeroes) {
		if !bytes.Equal(b[:len(zeroes)], zeroes[:]) {
			return false
		}
		b = b[len(zeroes):]
	}
	return bytes.Equal(b, zeroes[:len(b)])
}

// firstNonzero finds the first sector that is not zero, or -1.
func firstNonzero(b []byte) int64 {
	if isZero(b) {
		return -1
	}
	for i := 0; i < len(b); i += SectorSize {
		if !isZero(b[i:min(i+SectorSize, len(b))]) {
			return int64(i)
		}
	}
	return -1
}

// run finds how many bytes from the beginning are all zero or all (by sectors) not. Then it moves the end so that the data's edges are aligned: off
// is the buffer's place in the image.
func run(b []byte, off, align int64) (n int, data bool) {
	zero := isZero(b[:min(SectorSize, len(b))])
	i := 0
	if zero {
		i = zeroRun(b)
	} else {
		for i = SectorSize; i < len(b) && !isZero(b[i:min(i+SectorSize, len(b))]); i += SectorSize {
		}
		i = min(i, len(b))
	}
	if i == len(b) {
		return i, !zero
	}
	if tail := int((off + int64(i)) % align); tail != 0 {
		if zero && i <= tail {
			zero = false
		}
		if zero {
			i -= tail
		} else {
			i = min(i+int(align)-tail, len(b))
		}
	}
	return i, !zero
}

// zeroRun is the length of the zero sectors at the beginning.
func zeroRun(b []byte) int {
	const step = 16 << 10
	i := 0
	for i+step <= len(b) && isZero(b[i:i+step]) {
		i += step
	}
	for i < len(b) && isZero(b[i:min(i+SectorSize, len(b))]) {
		i += SectorSize
	}
	return min(i, len(b))
}

// sparseRun is run, but short zero ranges (up to least bytes) between data count as data.
func sparseRun(b []byte, off, least, align int64) (n int, data bool) {
	least = min(least, int64(len(b)))
	n, data = run(b, off, align)
	if !data {
		return n, false
	}
	for at := n; at < len(b); {
		k, more := run(b[at:], off+int64(at), align)
		at += k
		if more {
			n = at
		} else if int64(k) >= least {
			break
		}
	}
	return n, true
}

// sameRun tells whether the first sectors of both buffers are equal, and how many bytes are so or not so.
func sameRun(a, b []byte) (same bool, n int) {
	if bytes.Equal(a, b) {
		return true, len(a)
	}
	first := min(SectorSize, len(a))
	same = bytes.Equal(a[:first], b[:first])
	for n = first; n < len(a); {
		k := min(SectorSize, len(a)-n)
		if bytes.Equal(a[n:n+k], b[n:n+k]) != same {
			break
		}
		n += k
	}
	return same, n
}
