"""Fetches the lab's secrets with the lab's managed identity, then runs the lab: Container Instances can't inject them.

SECRETS contains the names of the environment variables and the URLs of their values in the vault. Values are neither
printed nor stored.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

METADATA = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net"


def get(url, **headers):
    """Return the JSON document at a URL; retry, because the identity may not be available immediately."""
    for _ in range(30):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            print(f"start: {url.split('?')[0]} answers {error.code}", file=sys.stderr)
        except OSError as error:
            print(f"start: {url.split('?')[0]}: {error}", file=sys.stderr)
        time.sleep(5)
    sys.exit("start: can't read the secrets; check the lab's identity and its role on the vault")


token = get(f"{METADATA}&client_id={os.environ['AZURE_CLIENT_ID']}", Metadata="true")["access_token"]
for name, url in json.loads(os.environ.pop("SECRETS")).items():
    os.environ[name] = get(f"{url}?api-version=7.4", Authorization=f"Bearer {token}")["value"]
os.execvp(sys.argv[1], sys.argv[1:])
