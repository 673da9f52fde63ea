package bundle

import "context"

// RunDetached creates and starts a container and returns when its process runs; one call of
// runc in place of Create and Start. The container stays until Delete.
func (r Runc) RunDetached(ctx context.Context, id, bundle string, o StartOptions) error {
	p, err := r.start(ctx, "run", id, o, append(o.args(), "--detach", "--bundle", bundle, id)...)
	if err != nil {
		return err
	}
	return p.succeed()
}
