package dump

// LZO1X (Linux, Documentation/staging/lzo.rst): a stream of literals and of copies of what came before.
const (
	lzoMatch    = 4     // shortest copy that is looked for
	lzoFirst    = 238   // most literals at the start of the stream that have an instruction of one byte
	lzoBias     = 17    // of that byte
	lzoRun      = 18    // most literals elsewhere that have an instruction of one byte
	lzoRunMin   = 3     // that byte is less by this; so few literals are in the copy before them
	lzoCopy     = 0x20  // instruction of a copy
	lzoCopyMax  = 33    // longest one whose length is in that byte
	lzoCopyMin  = 2     // of that length
	lzoReach    = 16384 // how far back copies go
	lzoHashBits = 12
)

var lzoEnd = [...]byte{0x11, 0, 0}

// lzo compresses pages. Streams can be decompressed without bounds checks of the input's size, as makedumpfile and crash do.
type lzo struct {
	seen [1 << lzoHashBits]uint16 // place behind the last four bytes of that hash, 0 if there were none
}

// pack appends src, at most 64 KiB - 1, to dst.
func (z *lzo) pack(dst, src []byte) []byte {
	clear(z.seen[:])
	start := 0 // of the literals that wait
	for at := 0; at+lzoMatch <= len(src); {
		v := le.Uint32(src[at:])
		slot := &z.seen[v*0x9e3779b1>>(32-lzoHashBits)]
		from := int(*slot) - 1
		*slot = uint16(at + 1)
		if from < 0 || at-from > lzoReach || le.Uint32(src[from:]) != v {
			at++
			continue
		}
		n := lzoMatch
		for at+n < len(src) && src[from+n] == src[at+n] {
			n++
		}
		dst = appendLiterals(dst, src[start:at], start == 0)
		dst = appendCopy(dst, at-from, n)
		at += n
		start = at
	}
	return append(appendLiterals(dst, src[start:], start == 0), lzoEnd[:]...)
}

// appendLiterals appends literals; behind a copy a few are part of it.
func appendLiterals(dst, b []byte, first bool) []byte {
	switch n := len(b); {
	case n == 0:
		return dst
	case first && n <= lzoFirst:
		dst = append(dst, byte(n+lzoBias))
	case !first && n <= lzoRunMin:
		dst[len(dst)-2] |= byte(n)
	case n <= lzoRun:
		dst = append(dst, byte(n-lzoRunMin))
	default:
		dst = appendLength(append(dst, 0), n-lzoRun)
	}
	return append(dst, b...)
}

// appendCopy appends a copy of n bytes from distance bytes before.
func appendCopy(dst []byte, distance, n int) []byte {
	if n <= lzoCopyMax {
		dst = append(dst, byte(lzoCopy+n-lzoCopyMin))
	} else {
		dst = appendLength(append(dst, lzoCopy), n-lzoCopyMax)
	}
	return append(dst, byte(distance-1)<<2, byte((distance-1)>>6))
}

// appendLength appends the part of a length that its instruction has no room for.
func appendLength(dst []byte, n int) []byte {
	const most = 255
	for ; n > most; n -= most {
		dst = append(dst, 0)
	}
	return append(dst, byte(n))
}
