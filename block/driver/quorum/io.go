package quorum

import (
	"bytes"
	"context"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// each does something on all children at once and returns what became of it, in their order.
func each(children []*block.Child, do func(i int, c *block.Child) error) []error {
	errs := make([]error, len(children))
	done := make(chan struct{})
	last := len(children) - 1
	for i, c := range children[:last] {
		go func() {
			errs[i] = do(i, c)
			done <- struct{}{}
		}()
	}
	errs[last] = do(last, children[last])
	for range last {
		<-done
	}
	return errs
}

// bad reports that a child failed (err) or contains something else than the majority (err is nil).
func (q *quorum) bad(op block.QuorumOp, c *block.Child, off, n int64, err error) {
	if f := q.node.Graph().OnQuorumBad; f != nil {
		f(block.QuorumBad{Node: c.Node(), Op: op, Offset: off, Size: n, Err: err})
	}
}

// failed reports that too few children agree.
func (q *quorum) failed(off, n int64) {
	if f := q.node.Graph().OnQuorumFailure; f != nil {
		f(q.node, off, n)
	}
}

// enough reports the children that failed. If less are left than have to agree, it returns the error that most of them had.
func (q *quorum) enough(op block.QuorumOp, children []*block.Child, off, n int64, errs []error) error {
	good := 0
	for i, err := range errs {
		if err == nil {
			good++
		} else {
			q.bad(op, children[i], off, n, err)
		}
	}
	if good >= q.threshold {
		return nil
	}
	return commonest(errs)
}

// commonest is the error that occurs most often, the last of several such as in QEMU.
func commonest(errs []error) error {
	votes := tally{}
	for i, err := range errs {
		if err != nil {
			votes.add(i, func(j int) bool { return block.Errno(errs[j]) == block.Errno(err) })
		}
	}
	return errs[votes.winner()[0]]
}

// tally are groups of children that agree, by index, in the order of their first members.
type tally [][]int

// add puts i into the group whose first member is like it, or into a new one.
func (t *tally) add(i int, like func(first int) bool) {
	for g, group := range *t {
		if like(group[0]) {
			(*t)[g] = append(group, i)
			return
		}
	}
	*t = append(*t, []int{i})
}

// winner is the largest group, the last of several such as in QEMU.
func (t tally) winner() (best []int) {
	for _, group := range t {
		if len(group) >= len(best) {
			best = group
		}
	}
	return best
}

// ReadV implements block.Reader.
func (q *quorum) ReadV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	children := q.node.Children()
	if q.fifo {
		return q.readFirst(ctx, children, off, iov)
	}
	n := block.IovLen(iov)
	bufs := borrow(len(children), n) // the guest can change its own memory meanwhile
	defer giveBack(bufs)
	errs := readAll(ctx, children, off, bufs)
	if err := q.enough(block.QuorumRead, children, off, n, errs); err != nil {
		q.failed(off, n)
		return err
	}
	votes := q.vote(off, n, bufs, errs)
	winner := votes.winner()
	if len(votes) > 1 && len(winner) < q.threshold {
		q.failed(off, n)
		return unix.EIO
	}
	data := bufs[winner[0]]
	block.IovScatter(iov, data)
	if len(votes) > 1 {
		q.outvoted(ctx, children, off, votes, winner, data)
	}
	return nil
}

// readAll reads from all children at once. Those that need not wait for their content are read in turn, which is faster.
func readAll(ctx context.Context, children []*block.Child, off int64, bufs [][]byte) []error {
	rest := make([]int, 0, len(children))
	waiting := make([]*block.Child, 0, len(children))
	for i, c := range children {
		if !c.TryReadV(off, bufs[i:i+1]) {
			rest, waiting = append(rest, i), append(waiting, c)
		}
	}
	errs := make([]error, len(children))
	if len(rest) > 0 {
		for k, err := range each(waiting, func(k int, c *block.Child) error { return c.Read(ctx, off, bufs[rest[k]]) }) {
			errs[rest[k]] = err
		}
	}
	return errs
}

// pool keeps buffers of at most maxPooled bytes for the next reads.
var pool sync.Pool

const maxPooled = 1 << 20

// borrow returns k buffers of n bytes with any content, at addresses that suit all requests.
func borrow(k int, n int64) [][]byte {
	bufs := make([][]byte, k)
	for i := range bufs {
		if b, ok := pool.Get().(*[]byte); ok && int64(cap(*b)) >= n {
			bufs[i] = (*b)[:n]
			continue
		}
		bufs[i] = block.AlignedBuffer(n)
	}
	return bufs
}

// giveBack ends the use of buffers.
func giveBack(bufs [][]byte) {
	for _, b := range bufs {
		if cap(b) <= maxPooled {
			pool.Put(&b)
		}
	}
}

// readFirst reads from the first child that can.
func (q *quorum) readFirst(ctx context.Context, children []*block.Child, off int64, iov [][]byte) (err error) {
	for _, c := range children {
		if err = c.ReadV(ctx, off, iov, 0); err == nil {
			break
		}
		q.bad(block.QuorumRead, c, off, block.IovLen(iov), err)
	}
	return err
}

// vote groups the children that could be read by what they contain.
func (q *quorum) vote(off, n int64, bufs [][]byte, errs []error) (votes tally) {
	for i, buf := range bufs {
		if errs[i] == nil {
			votes.add(i, func(first int) bool { return bytes.Equal(buf, bufs[first]) })
		}
	}
	if q.verify && len(votes) > 1 {
		a, b := bufs[votes[0][0]], bufs[votes[1][0]]
		i := 0
		for a[i] == b[i] {
			i++
		}
		q.differ(off, n, off+int64(i))
	}
	return votes
}

// outvoted reports the children that do not agree with the winner, and corrects them if the user wants that.
func (q *quorum) outvoted(ctx context.Context, children []*block.Child, off int64, votes tally, winner []int, data []byte) {
	var wrong []*block.Child
	for g := len(votes) - 1; g >= 0; g-- { // in QEMU's order
		for i := len(votes[g]) - 1; i >= 0 && votes[g][0] != winner[0]; i-- {
			c := children[votes[g][i]]
			q.bad(block.QuorumRead, c, off, int64(len(data)), nil)
			wrong = append(wrong, c)
		}
	}
	if q.rewrite { // a failure leaves what was wrong before
		each(wrong, func(_ int, c *block.Child) error { return c.Write(ctx, off, data, 0) })
	}
}

// change does a write on all children.
func (q *quorum) change(off, n int64, do func(c *block.Child) error) error {
	children := q.node.Children()
	errs := each(children, func(_ int, c *block.Child) error { return do(c) })
	err := q.enough(block.QuorumWrite, children, off, n, errs)
	if err != nil {
		q.failed(off, n)
	}
	return err
}

// WriteV implements block.Writer.
func (q *quorum) WriteV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	return q.change(off, block.IovLen(iov), func(c *block.Child) error { return c.WriteV(ctx, off, iov, fl) })
}

// WriteZeroes implements block.ZeroWriter.
func (q *quorum) WriteZeroes(ctx context.Context, off, n int64, fl block.Flags) error {
	return q.change(off, n, func(c *block.Child) error { return c.WriteZeroes(ctx, off, n, fl) })
}

// FlushAll implements block.WholeFlusher.
func (q *quorum) FlushAll(ctx context.Context) error {
	children := q.node.Children()
	errs := each(children, func(_ int, c *block.Child) error { return c.Flush(ctx) })
	return q.enough(block.QuorumFlush, children, 0, 0, errs)
}
