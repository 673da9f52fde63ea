#!/bin/sh
# photonbuild in a plain container, in a checkout: docs/use/ci/container.sh ci IMAGE..., or any other of its commands.
# ENGINE=podman takes that instead of docker.
set -eu
engine=${ENGINE:-docker}
case $engine in
docker) paths=systempaths=unconfined ;;
podman) paths=unmask=ALL ;;
*)
    echo "error: ENGINE is docker or podman" >&2
    exit 2
    ;;
esac
kvm=
[ ! -e /dev/kvm ] || kvm=--device=/dev/kvm
exec "$engine" run --rm --user root --cap-add SYS_ADMIN \
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt "$paths" ${kvm:+"$kvm"} \
    --volume "$PWD:/work" --workdir /work --volume photonbuild-store:/store --env PHOTONBUILD_STORE=/store \
    "${CONTAINER_IMAGE:-debian:trixie}" sh -c '
        apt-get update -qq &&
        apt-get install -y -qq --no-install-recommends python3 python3-venv mmdebstrap uidmap openssh-client \
            gpg gpg-agent debian-archive-keyring ca-certificates >/dev/null &&
        bin/photonbuild doctor &&
        exec bin/photonbuild "$@"' sh "$@"
