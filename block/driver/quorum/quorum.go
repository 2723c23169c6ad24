// Package quorum is the block driver quorum: it keeps the same content in several images, and a read shows what enough of them agree on
// (qapi/block-core.json, BlockdevOptionsQuorum).
package quorum

import (
	"context"
	"strconv"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// The names of options.
const (
	optThreshold = "vote-threshold"
	optVerify    = "blkverify"
	optRewrite   = "rewrite-corrupted"
	optPattern   = "read-pattern"
)

// Drivers is the driver of this package.
var Drivers = []*block.Driver{{
	Name: "quorum", Combiner: true, Open: open,
	Options: []block.Option{
		{Name: "children", Prefix: true, Help: "The images"},
		{Name: optThreshold, Type: block.OptNumber, Help: "The number of vote needed for reaching quorum"},
		{Name: optVerify, Type: block.OptBool, Help: "Trigger block verify mode if set"},
		{Name: optRewrite, Type: block.OptBool, Help: "Rewrite corrupted block on read quorum"},
		{Name: optPattern, Help: "Allowed pattern: quorum, fifo. Quorum is default"},
	},
	StrongOptions: []string{optThreshold, optVerify, optRewrite, optPattern},
}}

// quorum is the state of a node. All children of the node are images of the quorum, in the order of their indices.
type quorum struct {
	node      *block.Node
	threshold int  // how many images must agree
	verify    bool // a difference ends the program
	rewrite   bool // images in the minority get the content of the majority
	fifo      bool // reads take the first image that does not fail
	next      int  // index in the name of the child that is added next
}

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	q := &quorum{node: n}
	var err error
	if q.next, err = count(o); err != nil {
		return nil, err
	}
	if err := q.takeOptions(o); err != nil {
		return nil, err
	}
	for i := range q.next {
		if _, err := n.OpenChild(ctx, o, childName(i), block.RoleData, true); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func childName(i int) string { return "children." + strconv.Itoa(i) }

// count is the number of children that the options name; their indices must begin with 0 and have no gaps.
func count(o *block.Options) (int, error) {
	n, left := 0, o.Clone()
	left = left.Extract("children")
	for ; ; n++ {
		name := strconv.Itoa(n)
		_, byName := left.Get(name)
		nested := left.Extract(name).Len() > 0
		left.Delete(name)
		if byName && nested {
			return 0, block.Errorf(unix.EINVAL, "Option children is not a valid array")
		}
		if !byName && !nested {
			break
		}
	}
	switch {
	case left.Len() > 0:
		return 0, block.Errorf(unix.EINVAL, "Option children is not a valid array")
	case n == 0:
		return 0, block.Errorf(unix.EINVAL, "Number of provided children must be 1 or more")
	}
	return n, nil
}

// takeOptions takes all options but the children, of which there are q.next.
func (q *quorum) takeOptions(o *block.Options) error {
	threshold, err := o.TakeUint(optThreshold, 0)
	if err != nil {
		return err
	}
	q.threshold = int(int32(threshold))
	verify, err := o.TakeBool(optVerify, false)
	if err != nil {
		return err
	}
	rewrite, err := o.TakeBool(optRewrite, false)
	if err != nil {
		return err
	}
	pattern, ok := o.TakeString(optPattern)
	q.fifo = pattern == "fifo"
	if !q.fifo { // otherwise the two mean nothing
		q.verify, q.rewrite = verify, rewrite
	}
	switch {
	case q.threshold < 1:
		return block.Errorf(unix.ERANGE, "Parameter '%s' expects a value >= 1", optThreshold)
	case q.threshold > q.next:
		return block.Errorf(unix.ERANGE, "threshold may not exceed children count")
	case ok && !q.fifo && pattern != "quorum":
		return block.Errorf(unix.EINVAL, "Please set read-pattern as fifo or quorum")
	case q.verify && (q.next != 2 || q.threshold != 2):
		return block.Errorf(unix.EINVAL, "blkverify=on can only be set if there are exactly two files and vote-threshold is 2")
	case q.verify && q.rewrite:
		return block.Errorf(unix.EINVAL, "rewrite-corrupted=on cannot be used with blkverify=on")
	}
	return nil
}

// Close implements block.Instance.
func (*quorum) Close() {}

// Length implements block.Lengther: all images must have the same.
func (q *quorum) Length(ctx context.Context) (int64, error) {
	length := int64(-1)
	for _, c := range q.node.Children() {
		n, err := c.Length(ctx)
		if err != nil {
			return 0, err
		}
		if length >= 0 && n != length {
			return 0, unix.EIO
		}
		length = n
	}
	return length, nil
}

// RefreshLimits implements block.Limiter.
func (q *quorum) RefreshLimits(l *block.Limits) error {
	l.WriteFlags = block.Unchanged
	l.ZeroFlags = block.FUA | block.MayUnmap | block.NoFallback
	for _, c := range q.node.Children() {
		below := c.Node().Limits()
		l.ZeroFlags &= below.ZeroFlags
	}
	l.ZeroFlags |= block.Unchanged
	return nil
}

// ChildPerm implements block.ChildPermer: nobody else may make the images differ.
func (q *quorum) ChildPerm(_ *block.Child, _ block.Role, perm, shared block.Perm) (nperm, nshared block.Perm) {
	if q.rewrite {
		perm |= block.PermWrite
	}
	return perm, shared & (block.PermConsistentRead | block.PermWriteUnchanged)
}

// BlockStatus implements block.BlockStatuser: zeroes are what all images say are zeroes, everything else is data.
func (q *quorum) BlockStatus(ctx context.Context, wantZero bool, off, n int64) (block.Status, error) {
	zero, data := n, int64(0)
	for _, c := range q.node.Children() {
		s, _, err := c.Node().StatusAbove(ctx, nil, false, wantZero, off, n)
		if err != nil {
			q.bad(block.QuorumRead, c, off, n, err)
			data = n
			break
		}
		if s.Flags&block.StatusZero != 0 {
			zero = min(zero, s.N)
		} else {
			data = max(data, s.N)
		}
	}
	if data > 0 {
		return block.Status{Flags: block.StatusData, N: data}, nil
	}
	return block.Status{Flags: block.StatusZero, N: zero}, nil
}

// AddChild implements block.ChildChanger.
func (q *quorum) AddChild(n *block.Node) error {
	if q.verify {
		return block.Errorf(unix.EINVAL, "Cannot add a child to a quorum in blkverify mode")
	}
	if _, err := q.node.AttachChild(n, childName(q.next), block.RoleData); err != nil {
		return err
	}
	q.next++
	return nil
}

// RemoveChild implements block.ChildChanger.
func (q *quorum) RemoveChild(c *block.Child) error {
	if len(q.node.Children()) <= q.threshold {
		return block.Errorf(unix.EINVAL, "The number of children cannot be lower than the vote threshold %d", q.threshold)
	}
	if c.Name() == childName(q.next-1) {
		q.next--
	}
	q.node.Graph().Leave(c)
	return nil
}

// CanReplace implements block.Replacer: an image without other users may become a copy of what the quorum shows, whatever it contains now.
func (q *quorum) CanReplace(n *block.Node) bool {
	for _, c := range q.node.Children() {
		if c.Node() == n {
			return len(n.Parents()) == 1
		}
	}
	return false
}

// GatherChildOptions implements block.ChildOptionGatherer: a list without the gaps that the names of the children may have.
func (q *quorum) GatherChildOptions(o *block.NestedOptions, _ bool) {
	list := []*block.NestedOptions{}
	for _, c := range q.node.Children() {
		list = append(list, c.Node().FullOptions())
	}
	o.Put("children", list)
}

// Dirname implements block.Dirnamer: the images may lie in different directories.
func (*quorum) Dirname() (string, error) {
	return "", block.Errorf(unix.ENOTSUP, "Cannot generate a base directory for quorum nodes")
}

// differ ends the program: two images that must be equal are not, at the byte at.
func (q *quorum) differ(off, n, at int64) {
	q.node.Graph().Die("quorum: offset=%d bytes=%d contents mismatch at offset %d", off, n, at)
}
