package job

import "goemu/block"

// nodes are what a job holds of the graph.
type nodes struct {
	user    *block.User
	edges   []*block.Child
	blocker *block.Blocker
}

// AddNode attaches the job to a node, with permissions, and keeps all other operations away from the node (the edge is named as
// people see it: "main node", "target", …). A drain of the node pauses the job. Abort and commit let the node go.
// Preconditions: the graph lock is held.
func (j *Job) AddNode(n *block.Node, name string, perm, shared block.Perm) (*block.Child, error) {
	if j.nodes.user == nil {
		j.nodes.blocker = &block.Blocker{Reason: "block device is in use by block job: " + j.kind}
		j.nodes.user = &block.User{
			Name: j.kind + " job '" + j.id + "'", Quiesce: j.Hold, Settle: j.AwaitIdle, Resume: j.Release, StayAtNode: true,
			HandsOver: j.handsOver,
		}
	}
	c, err := j.list.graph.Use(j.nodes.user, n, name, perm, shared)
	if err != nil {
		return nil, err
	}
	j.nodes.edges = append(j.nodes.edges, c)
	n.BlockAll(j.nodes.blocker)
	return c, nil
}

// RemoveNodes lets all nodes go.
// Preconditions: the graph lock is held.
func (j *Job) RemoveNodes() {
	for _, c := range j.nodes.edges {
		c.Node().UnblockAll(j.nodes.blocker)
		j.list.graph.Leave(c)
	}
	j.nodes.edges = nil
}

// Edges lists the job's edges to its nodes.
// Preconditions: the graph lock is held.
func (j *Job) Edges() []*block.Child { return j.nodes.edges }

// Uses tells whether the job holds the node.
// Preconditions: the graph lock is held.
func (j *Job) Uses(n *block.Node) bool {
	for _, c := range j.nodes.edges {
		if c.Node() == n {
			return true
		}
	}
	return false
}

// Graph is the graph that the job works on.
func (j *Job) Graph() *block.Graph { return j.list.graph }

// NewOn makes a job whose main node is n, named after the backend on it when no ID is given. The node is held with the permissions.
// Preconditions: the graph lock is held.
func (l *List) NewOn(n *block.Node, s Spec, b Body, perm, shared block.Perm) (*Job, error) {
	if s.ID == "" && s.Flags&Internal == 0 {
		s.ID = n.DeviceName()
	}
	s.BlockJob = true
	j, err := l.New(s, b)
	if err != nil {
		return nil, err
	}
	if _, err := j.AddNode(n, "main node", perm, shared); err != nil {
		j.Drop()
		return nil, err
	}
	return j, nil
}

// Drop forgets a job that was made but cannot be started.
// Preconditions: the graph lock is held.
func (j *Job) Drop() {
	j.RemoveNodes()
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	j.done, j.ended = true, true
	j.txn.remove(j)
	j.dismiss()
}
