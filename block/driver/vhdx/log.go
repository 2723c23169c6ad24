package vhdx

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// log is where the next entry comes.
type log struct {
	at, length int64
	next       int64 // in the log, in bytes
	sequence   uint64
}

// change writes a few bytes of a table through the log: after a failure at any point the image has them or what was there before.
// Preconditions: mu is held.
func (im *image) change(ctx context.Context, at int64, b []byte) error {
	const entryLen = 2 * logSector
	if im.log.length < entryLen {
		return unix.EINVAL
	}
	if err := im.file.Flush(ctx); err != nil { // the data must be there before the tables name it
		return err
	}
	start := at &^ (logSector - 1)
	sector := make([]byte, logSector)
	if err := im.file.Read(ctx, start, sector); err != nil {
		return err
	}
	copy(sector[at-start:], b)
	length, err := im.file.Length(ctx)
	if err != nil {
		return err
	}
	id := newGUID()
	if err := im.setHeader(ctx, func(h []byte) { copy(h[hdrLogGUID:], id) }); err != nil {
		return err
	}
	if err := im.file.Write(ctx, im.log.at+im.log.next, im.log.entry(id, start, sector, length), 0); err != nil {
		return err
	}
	if err := im.file.Flush(ctx); err != nil {
		return err
	}
	if im.log.next += entryLen; im.log.next+entryLen > im.log.length {
		im.log.next = 0
	}
	im.log.sequence++
	if err := im.file.Write(ctx, start, sector, 0); err != nil {
		return err
	}
	if err := im.file.Flush(ctx); err != nil {
		return err
	}
	return im.emptyLog(ctx)
}

// emptyLog says that nothing in the log counts any more.
// Preconditions: mu is held.
func (im *image) emptyLog(ctx context.Context) error {
	return im.setHeader(ctx, func(h []byte) { copy(h[hdrLogGUID:], noGUID) })
}

// entry makes the entry that writes one sector; length is that of the file.
func (l *log) entry(id string, at int64, sector []byte, length int64) []byte {
	b := make([]byte, 2*logSector)
	copy(b, logSignature)
	le.PutUint32(b[logEntryLen:], uint32(len(b)))
	le.PutUint32(b[logTail:], uint32(l.next))
	le.PutUint64(b[logSequence:], l.sequence)
	le.PutUint32(b[logCount:], 1)
	copy(b[logGUID:], id)
	le.PutUint64(b[logFlushed:], uint64(length))
	le.PutUint64(b[logLast:], uint64(length))
	d, data := b[logHeaderLen:], b[logSector:]
	copy(d, descData)
	copy(d[descTrailing:descTrailing+4], sector[logSector-4:])
	copy(d[descLeading:descLeading+8], sector)
	le.PutUint64(d[descOffset:], uint64(at))
	le.PutUint64(d[descSequence:], l.sequence)
	copy(data, dataSignature)
	le.PutUint32(data[dataHigh:], uint32(l.sequence>>32))
	copy(data[dataBytes:dataLow], sector[8:])
	le.PutUint32(data[dataLow:], uint32(l.sequence))
	sign(b)
	return b
}

// logEntry is an entry that was found.
type logEntry struct {
	at   int64 // in the log
	body []byte
}

func (e *logEntry) sequence() uint64 { return le.Uint64(e.body[logSequence:]) }

// descriptors is the number of descriptors.
func (e *logEntry) descriptors() int { return int(le.Uint32(e.body[logCount:])) }

// dataAt is where the data begins.
func (e *logEntry) dataAt() int { return dataStart(uint64(e.descriptors())) }

// dataStart is where the data begins behind a number of descriptors.
func dataStart(descriptors uint64) int {
	return int((descriptors+headerAsDescs+perDescSector-1)/perDescSector) * logSector
}

// openLog makes the log ready, and replays it if the last user did not come to it.
// Preconditions: mu is held.
func (im *image) openLog(ctx context.Context) error {
	h := im.headers[im.current]
	im.log = log{at: int64(le.Uint64(h[hdrLogAt:])), length: int64(le.Uint32(h[hdrLogLen:])), sequence: sequenceAtOpen}
	id := string(h[hdrLogGUID:][:guidLen])
	switch {
	case im.log.at < logMin || im.log.at%logMin != 0 || im.log.at > 1<<62 || le.Uint16(h[hdrLogVersion:]) != 0:
		return unix.EINVAL
	case id == noGUID || im.log.length == 0 || im.node.Mode().Inactive:
		return nil
	case im.log.length%logMin != 0:
		return unix.EINVAL
	}
	entries, err := im.findEntries(ctx, id)
	if err != nil || len(entries) == 0 {
		return err
	}
	if im.node.Mode().ReadOnly {
		name := im.node.Filename()
		return &block.Error{Errno: unix.EPERM, Text: fmt.Sprintf("VHDX image file '%s' opened read-only, but contains a log that needs to be replayed", name),
			Hint: fmt.Sprintf("To replay the log, run:\nqemu-img check -r all '%s'", name)}
	}
	im.log.sequence = entries[len(entries)-1].sequence() + 1
	if err := im.renewLocked(ctx); err != nil {
		return err
	}
	for _, e := range entries {
		if err := im.replay(ctx, &e); err != nil {
			return err
		}
	}
	if err := im.file.Flush(ctx); err != nil {
		return err
	}
	im.replayed = true
	return im.emptyLog(ctx)
}

// findEntries finds the entries that have to be replayed: of the sequences in the log the one with the highest number.
// Preconditions: mu is held.
func (im *image) findEntries(ctx context.Context, id string) (found []logEntry, err error) {
	length, err := im.file.Length(ctx)
	if err != nil {
		return nil, err
	}
	end := min(im.log.length, max(0, length-im.log.at)) &^ (logSector - 1)
	for at := int64(0); at < end; {
		run, used, err := im.readRun(ctx, id, at, end)
		if err != nil {
			return nil, err
		}
		if n := len(run); n > 0 && (len(found) == 0 || run[n-1].sequence() > found[len(found)-1].sequence()) {
			found = run
		}
		at += max(used, logSector)
	}
	return found, nil
}

// readRun reads the entries from at on whose numbers follow one another. What comes before the tail that the last one names was replayed already.
// used is how far the run goes, which is not behind the end of the log.
func (im *image) readRun(ctx context.Context, id string, at, end int64) (run []logEntry, used int64, err error) {
	total := int64(0)
	for pos := at; total < end; {
		e, ok, err := im.readEntry(ctx, id, pos, end)
		if err != nil {
			return nil, 0, err
		}
		if !ok || len(run) > 0 && e.sequence() != run[len(run)-1].sequence()+1 {
			break
		}
		run = append(run, e)
		total += int64(len(e.body))
		pos = (pos + int64(len(e.body))) % end
	}
	if len(run) == 0 {
		return nil, 0, nil
	}
	tail := int64(le.Uint32(run[len(run)-1].body[logTail:]))
	for i, e := range run {
		if e.at == tail {
			return run[i:], total, nil
		}
	}
	return run, total, nil
}

// readEntry reads the entry at a position, if a valid one is there. The log goes on at its beginning.
func (im *image) readEntry(ctx context.Context, id string, at, end int64) (e logEntry, ok bool, err error) {
	h := make([]byte, logHeaderLen)
	if err := im.file.Read(ctx, im.log.at+at, h); err != nil {
		return e, false, err
	}
	n, count := int64(le.Uint32(h[logEntryLen:])), uint64(le.Uint32(h[logCount:]))
	if string(h[:4]) != logSignature || n == 0 || n%logSector != 0 || n > end || le.Uint64(h[logSequence:]) == 0 || string(h[logGUID:][:guidLen]) != id ||
		int64(dataStart(count)) > n {
		return e, false, nil
	}
	e = logEntry{at: at, body: make([]byte, n)}
	first := min(n, end-at)
	if err := im.file.Read(ctx, im.log.at+at, e.body[:first]); err != nil {
		return e, false, err
	}
	if first < n {
		if err := im.file.Read(ctx, im.log.at, e.body[first:]); err != nil {
			return e, false, err
		}
	}
	return e, e.valid(), nil
}

// valid tells whether the checksum and the descriptors are right.
func (e *logEntry) valid() bool {
	if le.Uint32(e.body[sumAt:]) != checksum(e.body) {
		return false
	}
	data := 0
	for i := range e.descriptors() {
		d := e.descriptor(i)
		if le.Uint64(d[descSequence:]) != e.sequence() || le.Uint64(d[descOffset:])%logSector != 0 {
			return false
		}
		switch string(d[:4]) {
		case descZero:
			if le.Uint64(d[descLeading:])%logSector != 0 {
				return false
			}
		case descData:
			data++
		default:
			return false
		}
	}
	return e.dataAt()+data*logSector <= len(e.body)
}

func (e *logEntry) descriptor(i int) []byte {
	return e.body[logHeaderLen+i*descLen:][:descLen]
}

// replay does what an entry says.
func (im *image) replay(ctx context.Context, e *logEntry) error {
	length, err := im.file.Length(ctx)
	if err != nil {
		return err
	}
	if le.Uint64(e.body[logFlushed:]) > uint64(length) { // the file was truncated
		return unix.EINVAL
	}
	data := e.body[e.dataAt():]
	for i := range e.descriptors() {
		d := e.descriptor(i)
		at := le.Uint64(d[descOffset:])
		if at >= 1<<62 {
			return unix.EINVAL
		}
		if string(d[:4]) == descZero {
			n := min(le.Uint64(d[descLeading:]), uint64(max(0, length-int64(at)))) // behind the end are zeroes already
			if n > 0 {
				if err := im.file.WriteZeroes(ctx, int64(at), int64(n), 0); err != nil {
					return err
				}
			}
			continue
		}
		s := data[:logSector]
		data = data[logSector:]
		if uint64(le.Uint32(s[dataHigh:]))<<32|uint64(le.Uint32(s[dataLow:])) != e.sequence() {
			return unix.EINVAL
		}
		b := append([]byte(nil), d[descLeading:descLeading+8]...)
		b = append(append(b, s[dataBytes:dataLow]...), d[descTrailing:descTrailing+4]...)
		if err := im.file.Write(ctx, int64(at), b, 0); err != nil {
			return err
		}
	}
	if last := le.Uint64(e.body[logLast:]); last > uint64(length) {
		if last > 1<<62 {
			return unix.EINVAL
		}
		return im.file.Truncate(ctx, roundUp(int64(last), mib), false, block.PreallocOff, false)
	}
	return nil
}
