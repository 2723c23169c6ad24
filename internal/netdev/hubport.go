package netdev

import "goemu/qapi"

// OpenHubPort is the Opener of the kind hubport.
func OpenHubPort(s *Set, n *qapi.Netdev, _ *Client) error {
	var peer *Client
	if id := n.Hubport.Netdev; id != nil {
		c, ok := s.Find(*id)
		if !ok {
			return qapi.Errorf("netdev '%s' not found", *id)
		}
		peer = c
	}
	s.AddHubPort(int(n.Hubport.Hubid), n.Id, peer)
	return nil
}
