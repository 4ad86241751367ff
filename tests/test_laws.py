"""Laws that hold in every configuration, and the mistakes of other models, each as a test."""

import math

import pytest
from hypothesis import given

from perfcore import catalog, records
from perfcore.physics.point import evaluate
from perfcore.testing import LAWS, Deployment, LawBrokenError, deployments


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@given(deployment=deployments())
def test_law(law, deployment):
    law(deployment)
