#include "sign.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rpm/rpmcrypto.h>
#include <rpm/rpmkeyring.h>
#include <rpm/rpmlib.h>
#include <rpm/rpmpgp.h>
#include <rpm/rpmtag.h>

#include "context.h"
#include "fetch.h"

enum { MOST_OF_A_KEY = 1 << 20 };
static const char armor[] = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

static char *hex_of(const uint8_t *bytes, size_t size)
{
    char *text = allocate(NULL, 2 * size + 1);

    text[0] = '\0';
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02X", bytes[i]);
    return text;
}

/* One certificate: shown by its fingerprint, asked for, and put into the rpm database. */
static bool offer_key(struct context *context, const struct repo_config *repo, const uint8_t *bytes, size_t size,
                      const char *url, struct failure *failure)
{
    pgpDigParams key = NULL;
    uint8_t *print = NULL;
    size_t print_size = 0;
    char *why = NULL;

    /* What is wrong with it is told also of a key that can still be read: expired, revoked, or too weak. */
    if (pgpPubKeyLint(bytes, size, &why) != RPMRC_OK || (why && strstr(why, "any usable signing key")))
        return fail(failure, url, "take the key that the repository publishes now", "the key cannot be used: %s",
                    why ? why : "it is no OpenPGP certificate");
    if (pgpPubkeyFingerprint(bytes, size, &print, &print_size) != 0 ||
        pgpPrtParams(bytes, size, PGPTAG_PUBLIC_KEY, &key) != 0)
        return fail(failure, url, NULL, "this is no OpenPGP key");
    char *fingerprint = hex_of(print, print_size);
    const char *user = pgpDigParamsUserID(key);
    fprintf(stderr,
            "Key of the repository %s, to be kept and trusted for all packages:\n"
            " Userid     : %s\n Fingerprint: %s\n From       : %s\n",
            repo->id, user ? user : "", fingerprint, url);
    pgpDigParamsFree(key);
    if (!ask(context, "Is this key right"))
        return fail(failure, url, "answer y, or --assumeyes, if the fingerprint is the one that was published",
                    "the key %s was not accepted", fingerprint);
    if (rpmtsImportPubkey(context->ts, bytes, size) != RPMRC_OK)
        return fail(failure, url, geteuid() ? "root keeps keys: run this once as root" : NULL,
                    "the key %s cannot be kept in the rpm database", fingerprint);
    return true;
}

/* All keys that the repository names. */
static bool offer_keys(struct context *context, const struct repo_config *repo, struct failure *failure)
{
    if (repo->gpgkeys.count == 0)
        return fail(failure, repo->file, "gpgkey=ADDRESS names the key, rpm --import FILE adds one",
                    "repository '%s' names no key", repo->id);
    for (size_t i = 0; i < repo->gpgkeys.count; i++) {
        const char *url = repo->gpgkeys.at[i];
        char *text = fetch_text(context->config, repo, *url == '/' ? text_of("file://%s", url) : url, MOST_OF_A_KEY,
                                NULL, failure);
        if (text == NULL)
            return false;
        char *block = strstr(text, armor);
        if (block == NULL)
            return fail(failure, url,
                        "an armored public key begins with "
                        "-----BEGIN PGP PUBLIC KEY BLOCK-----",
                        "there is no key in it");
        for (; block; block = strstr(block + 1, armor)) {
            uint8_t *bytes = NULL;
            size_t size = 0, one = 0;
            if (pgpParsePkts(block, &bytes, &size) != PGPARMOR_PUBKEY)
                return fail(failure, url, NULL, "the key in it is damaged");
            for (size_t at = 0; at < size && pgpPubKeyCertLen(bytes + at, size - at, &one) == 0 && one; at += one)
                if (!offer_key(context, repo, bytes + at, one, url, failure))
                    return false;
        }
    }
    return true;
}

static rpmRC check_once(struct context *context, pgpDigParams signature, const char *text, size_t size)
{
    DIGEST_CTX digest = rpmDigestInit((int)pgpDigParamsAlgo(signature, PGPVAL_HASHALGO), RPMDIGEST_NONE);
    rpmKeyring keyring = rpmtsGetKeyring(context->ts, 1);

    if (digest == NULL)
        return RPMRC_FAIL;
    *context->rpm_says = '\0';
    rpmDigestUpdate(digest, text, size);
    rpmRC result = rpmKeyringVerifySig(keyring, signature, digest);
    rpmDigestFinal(digest, NULL, NULL, 0);
    rpmKeyringFree(keyring);
    return result;
}

enum verdict verify_text(struct context *context, const struct repo_config *repo, const char *text, size_t size,
                         const char *signature, const char *where, struct failure *failure)
{
    pgpDigParams parsed = NULL;
    uint8_t *bytes = NULL;
    size_t length = 0;

    if (pgpParsePkts(signature, &bytes, &length) != PGPARMOR_SIGNATURE ||
        pgpPrtParams(bytes, length, PGPTAG_SIGNATURE, &parsed) != 0) {
        fail(failure, where, "the publisher signs repomd.xml as repomd.xml.asc: gpg --detach-sign --armor",
             "the signature of the metadata is damaged");
        return REFUSED;
    }
    rpmRC result = check_once(context, parsed, text, size);
    char *id = hex_of(pgpDigParamsSignID(parsed), 8);
    if (result == RPMRC_NOKEY) {
        if (!offer_keys(context, repo, failure))
            return REFUSED;
        result = check_once(context, parsed, text, size);
    }
    pgpDigParamsFree(parsed);
    free(bytes);
    if (result == RPMRC_OK)
        return TRUSTED;
    if (result == RPMRC_NOKEY) {
        fail(failure, where, "do not use this repository until its publisher explains it",
             "the metadata are signed by the key %s, which gpgkey= does not name", id);
        return REFUSED;
    }
    fail(failure, where,
         "they were altered, or the key is revoked or expired, or the clock is wrong; do not use this repository "
         "until its publisher explains it",
         "the signature of the metadata is wrong (key %s)%s%s", id, *context->rpm_says ? ": " : "", context->rpm_says);
    return OTHER;
}

static bool is_signed(Header header)
{
    return headerIsEntry(header, RPMTAG_RSAHEADER) || headerIsEntry(header, RPMTAG_DSAHEADER);
}

static rpmRC read_once(struct context *context, const char *path, Header *header, struct failure *failure)
{
    FD_t fd = Fopen(path, "r.ufdio");

    if (fd == NULL || Ferror(fd)) {
        fail(failure, path, NULL, "cannot be read: %s", strerror(errno));
        return RPMRC_NOTFOUND;
    }
    *context->rpm_says = '\0';
    rpmRC result = rpmReadPackageFile(context->ts, fd, path, header);
    Fclose(fd);
    return result;
}

Header read_package(struct context *context, const struct repo_config *repo, const char *path, bool wanted,
                    struct failure *failure)
{
    Header header = NULL;
    rpmRC result = read_once(context, path, &header, failure);

    if (result == RPMRC_NOKEY && wanted) {
        if (header == NULL || repo == NULL || !offer_keys(context, repo, failure)) {
            if (repo == NULL)
                fail(failure, path, "rpm --import FILE adds a key", "the package is signed by a key that is not known");
            return NULL;
        }
        headerFree(header);
        header = NULL;
        result = read_once(context, path, &header, failure);
    }
    if (result == RPMRC_NOTFOUND)
        return NULL;
    if (result == RPMRC_FAIL || header == NULL) {
        fail(failure, path, "it was damaged or altered; tdnf clean packages, and try again",
             "the package is not valid%s%s", *context->rpm_says ? ": " : "", context->rpm_says);
    } else if (wanted && !is_signed(header)) {
        fail(failure, path, "do not install it; --nogpgcheck installs it all the same", "the package is not signed");
    } else if (wanted && result != RPMRC_OK) {
        fail(failure, path, "do not install it until its publisher explains it",
             "the signature of the package is %s%s%s",
             result == RPMRC_NOKEY ? "by a key that gpgkey= does not name" : "not trusted",
             *context->rpm_says ? ": " : "", context->rpm_says);
    } else {
        return header;
    }
    headerFree(header);
    return NULL;
}
