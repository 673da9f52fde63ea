#!/bin/bash
# Makes the keys and packages beside it, anew: other keys, other bytes. Needs rpmbuild, rpmsign (rpm 4.20) and gpg (2.4).
#   known: a key that is valid for ever. expired: from 2026-01-03 on. revoked: the key was taken back later.
#   Each .rpm was signed on 2026-01-02 by the key of its name, when that was valid. unsigned.rpm is the same without.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'gpgconf --kill all; rm -rf "$work"' EXIT
export GNUPGHOME=$work/gpg SOURCE_DATE_EPOCH=1767225600
mkdir -m 700 "$GNUPGHOME"
cat > "$work/signed.spec" <<'END'
Name: signed
Version: 1
Release: 1
Summary: A package that is signed
License: MIT
BuildArch: noarch
%description
A package that is signed.
%install
mkdir -p %{buildroot}/usr/share
echo signed > %{buildroot}/usr/share/signed
%files
/usr/share/signed
END
rpmbuild -bb --define "_topdir $work/r" --define '_buildhost build.invalid' \
  --define 'use_source_date_epoch_as_buildtime 1' --define "_rpmdir $PWD" --define '_rpmfilename unsigned.rpm' \
  "$work/signed.spec"
for name in known expired revoked; do
  user=$name@tests.invalid ends=never
  [ $name != expired ] || ends=2d
  gpg --batch --faked-system-time 20260101T000000! --passphrase '' \
    --quick-generate-key "$name <$user>" rsa3072 sign $ends
  cp unsigned.rpm $name.rpm
  rpmsign --addsign --define "_gpg_name $user" --define "__gpg $(command -v gpg)" \
    --define '_gpg_sign_cmd_extra_args --faked-system-time 20260102T000000! --pinentry-mode loopback --batch' $name.rpm
  if [ $name = revoked ]; then
    print=$(gpg --with-colons -k "$user" | awk -F: '/^fpr/ { print $10; exit }')
    sed 's/^:---/---/' "$GNUPGHOME/openpgp-revocs.d/$print.rev" | gpg --batch --import
  fi
  gpg --armor --export "$user" > $name.asc
done
