package auth

import "sync"

const (
	// maxCachedGrants and maxCachedClaim, the length of a channels claim in bytes, bound what a key remembers.
	maxCachedGrants = 256
	maxCachedClaim  = 512
)

// grantCache remembers grants by what was claimed, so that connections with equal claims share one. It is for the
// few claims that many tokens make: of more than it holds, any one gives way. The zero value is ready; any
// goroutine may use it.
type grantCache struct {
	mu sync.Mutex

	// Guarded by mu.
	byClaim map[grantClaim]*Grant // nil until first used
}

// grantClaim is what a grant of one key follows from.
type grantClaim struct {
	actions  Actions
	channels string // the JSON of the claim
}

// find returns the grant for a claim, or nil. It does not allocate.
func (c *grantCache) find(actions Actions, channels []byte) *Grant {
	if len(channels) > maxCachedClaim {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byClaim[grantClaim{actions, string(channels)}]
}

// add remembers g and returns it, or the grant for the same claim that another goroutine added meanwhile.
func (c *grantCache) add(channels []byte, g *Grant) *Grant {
	if len(channels) > maxCachedClaim {
		return g
	}
	claim := grantClaim{g.actions, string(channels)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.byClaim[claim]; other != nil {
		return other
	}
	if c.byClaim == nil {
		c.byClaim = make(map[grantClaim]*Grant)
	}
	if len(c.byClaim) >= maxCachedGrants {
		for victim := range c.byClaim {
			delete(c.byClaim, victim)
			break
		}
	}
	c.byClaim[claim] = g
	return g
}
